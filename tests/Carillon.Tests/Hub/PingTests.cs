using System.Text.Json;
using Carillon.Audit;
using Carillon.SocketIO.Sockets;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.Tests.Live;

public class PingTests
{
    [Theory]
    [InlineData("[\"ping\"]")]
    [InlineData("[\"ping\",null]")]
    [InlineData("[\"ping\",{\"more\":[1,2]},\"and more\"]")]
    public async Task Ping_answers_with_the_servers_time_whatever_its_arguments(string packet)
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        using var client = await app.ConnectAsAsync("alice");
        var before = TimeProvider.System.GetUtcNow().AddMilliseconds(-1);

        await client.SendAsync("427" + packet);

        var answer = await AnswerAsync(client, "437");
        Assert.Equal(["ok", "serverTime"], answer.EnumerateObject().Select(member => member.Name));
        Assert.True(answer.GetProperty("ok").GetBoolean());
        Assert.InRange(answer.GetProperty("serverTime").GetDateTimeOffset(), before, TimeProvider.System.GetUtcNow());
    }

    [Fact]
    public async Task A_ping_without_an_acknowledgement_is_no_error()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        using var client = await app.ConnectAsAsync("alice");
        await client.EmitAsync("ping", null);
        await client.AskAsync("subscribe", "suggestions:votes");
        await client.NextAsync("subscribed");      // no event came before it
    }

    [Fact]
    public async Task Pings_spend_the_budget_of_events_like_any_other_event()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], services: services => services.Configure<SocketIOOptions>(io =>
        {
            io.Engine.Limits.PerConnection.EventBurst = 3;
            io.Engine.Limits.PerConnection.EventsPerSecond = 1;
        }));
        using var client = await app.ConnectAsAsync("alice");
        List<string?> answers = [];
        for (var i = 0; i < 5; i++)
        {
            var answer = await client.AskAsync("ping", null);
            answers.Add(answer.TryGetProperty("error", out var error) ? error.GetProperty("code").GetString() : "ok");
        }
        Assert.Equal("ok", answers[0]);
        Assert.Equal("rate-limited", answers[^1]);
    }

    [Fact]
    public async Task Pings_are_not_audited()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        using var client = await app.ConnectAsAsync("alice");
        await client.AskAsync("ping", null);
        await client.AskAsync("subscribe", "suggestions:votes");
        await app.Get<Carillon.Audit.AuditLog>().FlushAsync(TestContext.Current.CancellationToken);
        var entries = (await app.CallAsync("GET", "/api/audit?actor=alice")).Body.GetProperty("items").EnumerateArray();
        Assert.Equal(["connect", "subscribe"], entries.Select(entry => entry.GetProperty("action").GetString()).Order());
    }

    static async Task<JsonElement> AnswerAsync(TestClient client, string prefix)
    {
        while (true)
        {
            if (await client.RawAsync() is { } packet && packet.StartsWith(prefix, StringComparison.Ordinal))
                return JsonElement.Parse(packet[prefix.Length..])[0];
        }
    }
}
