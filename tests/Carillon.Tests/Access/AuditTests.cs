using System.Net;
using System.Text.Json;
using Carillon.Audit;
using Carillon.Hosting;
using Carillon.Hub;
using Carillon.Storage;
using Carillon.TestTools;
using Carillon.Tests.Live;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Carillon.Tests.Access;

public class AuditTests
{
    [Fact]
    public async Task Admissions_refusals_subscriptions_and_acts_are_written_down()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        await app.RefusedAsync("rubbish");
        await app.RefusedAsync(app.TokenOf("mallory"));
        using var client = await app.ConnectAsAsync("alice");
        await client.AskAsync("subscribe", "suggestions:votes");
        await client.AskAsync("subscribe", "notifications:bob");
        await app.CallAsync("POST", "/api/tokens/revoke", new { jti = "t1" });
        await app.CallAsAsync("alice", "GET", "/api/audit");

        var entries = await EntriesAsync(app, expected: 8);
        Assert.Equal(
        [
            "key:configured-0 user:changed alice allowed", " connect  refused unauthorized", "mallory connect  refused unknown-user", "alice connect * allowed",
            "alice subscribe suggestions:votes allowed", "alice subscribe notifications:bob refused forbidden", "key:configured-0 token:revoked jti:t1 allowed",
            "alice request /api/audit refused forbidden",
        ], entries.Where(entry => entry.GetProperty("action").GetString() != "disconnect").Select(Line).Order(new ByAction()));
        Assert.All(entries, entry => Assert.Equal("127.0.0.1", entry.GetProperty("from").GetString()));
    }

    [Fact]
    public async Task Entries_are_filtered_and_come_in_parts_the_latest_first()
    {
        await using var app = await TestApp.StartKnowingAsync(["a", "b", "c", "d"]);
        await EntriesAsync(app, expected: 4);
        var first = (await app.CallAsync("GET", "/api/audit?action=user:changed&limit=3")).Body;
        Assert.Equal(["d", "c", "b"], first.GetProperty("items").EnumerateArray().Select(entry => entry.GetProperty("subject").GetString()));
        var rest = (await app.CallAsync("GET", $"/api/audit?action=user:changed&limit=3&cursor={first.GetProperty("next").GetString()}")).Body;
        Assert.Equal(["a"], rest.GetProperty("items").EnumerateArray().Select(entry => entry.GetProperty("subject").GetString()));
        Assert.Equal(4, Count(await app.CallAsync("GET", "/api/audit?actor=key:configured-0")));
        Assert.Equal(1, Count(await app.CallAsync("GET", "/api/audit?subject=b&outcome=allowed")));
        Assert.Equal(0, Count(await app.CallAsync("GET", "/api/audit?since=2100-01-01T00:00:00Z")));
        Assert.Equal(4, Count(await app.CallAsync("GET", "/api/audit?since=2000-01-01&until=2100-01-01T00:00:00Z")));
        Assert.Equal("invalid-payload", (await app.CallAsync("GET", "/api/audit?since=yesterday")).Body.GetProperty("code").GetString());
        Assert.Equal("invalid-payload", (await app.CallAsync("GET", "/api/audit?cursor=eA")).Body.GetProperty("code").GetString());
    }

    [Fact]
    public async Task Those_who_may_watch_hear_entries_as_they_are_written_in_their_order()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        await app.PutUserAsync("root", "admin");
        using var alice = await app.ConnectAsAsync("alice");
        Assert.Equal("forbidden", (await alice.AskAsync("subscribe", "audit")).GetProperty("error").GetProperty("code").GetString());
        using var root = await app.ConnectAsAsync("root");
        Assert.True((await root.AskAsync("subscribe", "audit")).GetProperty("ok").GetBoolean());
        for (var i = 0; i < 5; i++) await app.PutUserAsync($"u{i}");
        List<string> heard = [];
        while (heard.Count < 5)
            if (await root.UntilAsync("audit") is var entry && entry.GetProperty("action").GetString() == "user:changed" && entry.GetProperty("subject").GetString()!.StartsWith('u'))
                heard.Add(entry.GetProperty("subject").GetString()!);
        Assert.Equal(["u0", "u1", "u2", "u3", "u4"], heard);
    }

    [Fact]
    public async Task The_log_holds_no_token_no_key_and_no_payload()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        var token = app.TokenOf("alice");
        using var client = await app.ConnectAsync(token);
        await client.AskAsync("token:refresh", new { token });
        var key = (await app.CallAsync("POST", "/api/keys", new { name = "k", scopes = new[] { "*" } })).Body.GetProperty("key").GetString()!;
        var ticket = (await app.CallAsAsync("alice", "POST", "/api/tickets")).Body.GetProperty("ticket").GetString()!;
        await app.CallAsync("POST", "/api/publish", new { channel = "notifications:alice", data = new { text = "a payload" } });
        await app.RefusedAsync(token + "x");
        await EntriesAsync(app, expected: 7);
        var all = string.Join('\n', await app.Database.QueryAsync<string>("SELECT actor || ' ' || action || ' ' || subject || ' ' || COALESCE(code, '') FROM carillon_audit"));
        foreach (var secret in new[] { token, token.Split('.')[2], key[20..], ticket, "a payload" }) Assert.DoesNotContain(secret, all, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Refusals_beyond_what_anybody_reads_are_counted_and_written_as_one_entry()
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartKnowingAsync(["alice"], services: services => services.AddSingleton<TimeProvider>(clock));
        for (var i = 0; i < 150; i++) await app.CallAsync("GET", "/api/keys", authorization: null);
        clock.Advance(TimeSpan.FromSeconds(10));
        await app.CallAsAsync("alice", "GET", "/api/keys");
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        string? more = null;
        var one = 0;
        while (more is null || one < 61)
        {
            patience.Token.ThrowIfCancellationRequested();
            more = await app.Database.QuerySingleOrDefaultAsync<string>("SELECT subject || ' from ' || source FROM carillon_audit WHERE action = 'refusals:more'");
            one = await app.Database.QuerySingleOrDefaultAsync<int>("SELECT COUNT(*) FROM carillon_audit WHERE action = 'request'");
        }
        Assert.Equal(("90 more from 127.0.0.1", 61), (more, one));
    }

    [Fact]
    public void Nobody_s_refusals_are_hidden_behind_another_s()
    {
        var folding = new RefusalThrottle(new HandDrivenClock(), burst: 60);
        var here = IPAddress.Parse("2001:db8::1");
        for (var i = 0; i < 100; i++) folding.Count(null, here, out _);
        Assert.False(folding.Count(null, IPAddress.Parse("2001:db8::2"), out _));        // the same network
        Assert.True(folding.Count(null, IPAddress.Parse("2001:db8:0:1::1"), out _));
        Assert.True(folding.Count("alice", here, out _));
        Assert.Empty(folding.TakeFolded(10));
        folding.EndAll();
        Assert.Equal((null, "2001:db8::", 41), folding.TakeFolded(10) is [var (actor, from, count)] ? (actor, from!.ToString(), count) : default);
    }

    [Theory]
    [InlineData("192.0.2.1", "192.0.2.1")]
    [InlineData("::ffff:192.0.2.1", "192.0.2.1")]
    [InlineData("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::")]
    public void An_address_of_IPv6_is_one_of_a_network(string address, string network) => Assert.Equal(IPAddress.Parse(network), RefusalThrottle.NetworkOf(IPAddress.Parse(address)));

    [Fact]
    public async Task What_is_refused_by_event_or_for_a_channel_is_written_down_as_well()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], options => options.Votes.MayVote = Grant.Nobody);
        using var client = await app.ConnectAsAsync("alice");
        await client.AskAsync("presence", new { channel = "resource:updates:7" });
        await client.AskAsync("suggestion:vote", new { suggestionId = "s", value = 1 });
        await app.CallAsAsync("alice", "GET", "/api/channels/resource:updates:7/presence");
        await app.CallAsAsync("alice", "GET", "/api/channels/notifications:bob/history");
        await app.CallAsAsync("alice", "POST", "/api/publish", new { channel = "notifications:bob", data = 1 });
        var entries = await EntriesAsync(app, expected: 7);
        Assert.Equal(["presence resource:updates:7", "publish notifications:bob", "request /api/channels/notifications:bob/history", "request /api/channels/resource:updates:7/presence", "suggestion:vote s"],
            entries.Where(entry => entry.GetProperty("outcome").GetString() == "refused").Select(entry => $"{entry.GetProperty("action").GetString()} {entry.GetProperty("subject").GetString()}").Order());
    }

    [Fact]
    public async Task A_ticket_that_was_given_is_told_at_once()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        await app.PutUserAsync("root", "admin");
        using var root = await app.ConnectAsAsync("root");
        await root.AskAsync("subscribe", "audit");
        await app.CallAsAsync("alice", "POST", "/api/tickets");
        while ((await root.UntilAsync("audit")).GetProperty("action").GetString() != "ticket:given")
        {
        }
    }

    [Fact]
    public async Task What_there_was_no_room_for_is_counted_and_the_log_says_so()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        using var audit = new AuditLog(app.Database, app.Get<AuditRetention>(), app.Get<FreeSpace>(), TimeProvider.System, NullLogger<AuditLog>.Instance);
        for (var i = 0; i < 20_007; i++) audit.Note($"a{i}", "flood", null, null, AuditEntry.Refused);
        await audit.FlushAsync(CancellationToken.None);
        Assert.Equal(20_000, await app.Database.QuerySingleOrDefaultAsync<int>("SELECT COUNT(*) FROM carillon_audit WHERE action = 'flood'"));
        Assert.Equal("7 entries", await app.Database.QuerySingleOrDefaultAsync<string>("SELECT subject FROM carillon_audit WHERE action = 'audit:lost'"));
    }

    [Fact]
    public async Task Old_entries_are_forgotten()
    {
        var clock = new HandDrivenClock();
        var folder = Directory.CreateTempSubdirectory("carillon-");
        try
        {
            void Configure(CarillonOptions options)
            {
                options.Database = $"sqlite:{Path.Combine(folder.FullName, "app.db")}";
                options.Access.AuditRetention = TimeSpan.FromDays(30);
            }
            await using (var app = await TestApp.StartKnowingAsync(["old"], Configure, services => services.AddSingleton<TimeProvider>(clock))) await EntriesAsync(app, expected: 1);
            clock.Advance(TimeSpan.FromDays(31));
            await using (var app = await TestApp.StartKnowingAsync(["new"], Configure, services => services.AddSingleton<TimeProvider>(clock)))
            {
                using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
                while (Count(await app.CallAsync("GET", "/api/audit?action=user:changed")) != 1) patience.Token.ThrowIfCancellationRequested();
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    static int Count((System.Net.HttpStatusCode, JsonElement Body) answer) => answer.Body.GetProperty("items").GetArrayLength();

    static async Task<JsonElement[]> EntriesAsync(TestApp app, int expected)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while (true)
        {
            JsonElement[] entries = [.. (await app.CallAsync("GET", "/api/audit?limit=500")).Body.GetProperty("items").EnumerateArray()];
            if (entries.Length >= expected) return entries;
            patience.Token.ThrowIfCancellationRequested();
        }
    }

    static string Line(JsonElement entry)
    {
        var (actor, action, subject) = (entry.GetProperty("actor").GetString(), entry.GetProperty("action").GetString(), entry.GetProperty("subject").GetString());
        if (action == "connect" && subject is not null) subject = "*";
        var code = entry.TryGetProperty("code", out var given) ? " " + given.GetString() : "";
        return $"{actor} {action} {subject} {entry.GetProperty("outcome").GetString()}{code}";
    }

    // What waits is written in batches: only the order of what one actor did is sure. The expected list is in the order of the acts.
    sealed class ByAction : IComparer<string>
    {
        static readonly string[] Order = ["user:changed", "connect  refused unauthorized", "mallory", "alice connect", "suggestions:votes", "notifications:bob", "token:revoked", "request"];

        public int Compare(string? x, string? y) => Place(x!).CompareTo(Place(y!));

        static int Place(string line) => Array.FindIndex(Order, word => line.Contains(word, StringComparison.Ordinal));
    }
}
