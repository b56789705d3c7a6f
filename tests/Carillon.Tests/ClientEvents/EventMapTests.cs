using System.Net;
using System.Text.Json;
using Carillon.Access;
using Carillon.Api;
using Carillon.Audit;
using Carillon.ClientEvents;
using Carillon.Tests.Live;

namespace Carillon.Tests.ClientEvents;

/// <summary>The one pipeline from an event to its handler.</summary>
public class EventMapTests
{
    sealed record Sum(int Total, int[] Parts, string? Note);

    [Fact]
    public async Task The_acknowledgement_carries_ok_and_the_members_of_the_result()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        app.Get<EventMap>().Map<string, Sum>("sum", EndpointPolicy.Person, Text, (_, _, _) => new(new Sum(3, [1, 2], null)));
        using var alice = await app.ConnectAsAsync("alice");
        Assert.Equal("""{"ok":true,"total":3,"parts":[1,2],"note":null}""", (await alice.AskAsync("sum", "x")).GetRawText());
    }

    [Fact]
    public async Task A_refusal_is_answered_by_both_ways_and_audited_with_its_subject()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        var later = new Refusal(ErrorCode.RateLimited, RetryAfter: TimeSpan.FromSeconds(7)) { IsAudited = false };
        app.Get<EventMap>().Map<string, Sum>("sum", EndpointPolicy.Person, request =>
        {
            request.Channel = request.Subject = "sums:1";
            return Text(request);
        }, (text, _, _) => new(text == "later" ? later : ErrorCode.Conflict));
        using var alice = await app.ConnectAsAsync("alice");

        var answer = await alice.AskAsync("sum", "now");
        var error = await alice.NextAsync("error");
        Assert.Equal(("conflict", "conflict", "sum", "sums:1"),
            (Code(answer), Text(error, "code"), Text(error, "event"), Text(error, "channel")));
        answer = await alice.AskAsync("sum", "later");
        Assert.Equal(("rate-limited", 7), (Code(answer), answer.GetProperty("error").GetProperty("retryAfter").GetInt32()));

        await app.Get<AuditLog>().FlushAsync(CancellationToken.None);
        var entries = await app.Database.QueryAsync<string>("SELECT subject || ' ' || code FROM carillon_audit WHERE action = 'sum'");
        Assert.Equal(["sums:1 conflict"], entries);
    }

    [Fact]
    public async Task Clients_that_the_policy_does_not_admit_are_refused_before_the_handler_runs()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], options => options.AllowAnonymous = true);
        var runs = 0;
        app.Get<EventMap>().Map<string, Sum>("sum", EndpointPolicy.Person, Text, (_, _, _) => new(new Sum(++runs, [], null)));
        app.Get<EventMap>().Map<string, Sum>("open", EndpointPolicy.Client, Text, (_, _, _) => new(new Sum(0, [], null)));
        using var anonymous = await app.ConnectAsync();
        Assert.Equal("forbidden", Code(await anonymous.AskAsync("sum", "x")));
        Assert.Equal(0, runs);
        Assert.True((await anonymous.AskAsync("open", "x")).GetProperty("ok").GetBoolean());
    }

    [Fact]
    public async Task Malformed_arguments_are_refused_and_not_audited_whether_the_reader_or_the_handler_finds_them()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        app.Get<EventMap>().Map<string, Sum>("sum", EndpointPolicy.Person, Text, (_, _, _) => new(ErrorCode.InvalidPayload));
        using var alice = await app.ConnectAsAsync("alice");
        Assert.Equal("invalid-payload", Code(await alice.AskAsync("sum", 7)));
        Assert.Equal("invalid-payload", Code(await alice.AskAsync("sum", "x")));
        await app.Get<AuditLog>().FlushAsync(CancellationToken.None);
        Assert.Empty(await app.Database.QueryAsync<string>("SELECT action FROM carillon_audit WHERE action = 'sum'"));
    }

    [Fact]
    public async Task A_handler_that_fails_is_answered_with_unavailable_and_the_connection_lives()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        app.Get<EventMap>().Map<string, Sum>("sum", EndpointPolicy.Person, Text,
            (text, _, _) => text == "x" ? throw new InvalidOperationException("a bug") : new(new Sum(1, [], null)));
        using var alice = await app.ConnectAsAsync("alice");
        Assert.Equal("unavailable", Code(await alice.AskAsync("sum", "x")));
        Assert.True((await alice.AskAsync("sum", "y")).GetProperty("ok").GetBoolean());
    }

    [Fact]
    public async Task Requests_in_turn_wait_for_each_other_and_others_do_not()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        var first = new TaskCompletionSource();
        app.Get<EventMap>().Map<string>("turn", EndpointPolicy.Person, Text, async (request, text) =>
        {
            if (text == "first") await first.Task;
            request.Acknowledge(new { text });
            return null;
        }, inTurn: true);
        using var alice = await app.ConnectAsAsync("alice");
        await alice.EmitAsync("turn", "first");
        var second = alice.AskAsync("turn", "second");
        using var other = await app.ConnectAsAsync("alice");
        Assert.Equal("second", Text(await other.AskAsync("turn", "second"), "text"));
        Assert.False(second.IsCompleted);
        first.SetResult();
        Assert.Equal("second", Text(await second, "text"));
    }

    [Fact]
    public async Task Session_carries_the_fields_of_features()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        app.Get<SessionFields>().Add("greeting", (caller, _) => new("hello " + caller.UserId));
        using var alice = await app.ConnectAsAsync("alice");
        Assert.Equal("hello alice", Text(alice.Session, "greeting"));
        Assert.Equal("""{"notifications":0,"messages":0}""", alice.Session.GetProperty("unread").GetRawText());
    }

    [Fact]
    public async Task What_features_store_about_a_user_is_deleted_with_the_user_or_not_at_all()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        var fails = true;
        List<string> deleted = [];
        app.Get<UserDeletion>().Add((_, id, _) =>
        {
            deleted.Add(id);
            return fails ? throw new InvalidOperationException("a bug") : Task.CompletedTask;
        });
        Assert.NotEqual(HttpStatusCode.NoContent, (await app.CallAsync("DELETE", "/api/users/alice")).Status);
        Assert.Equal(HttpStatusCode.OK, (await app.CallAsync("GET", "/api/users/alice")).Status);
        fails = false;
        Assert.Equal(HttpStatusCode.NoContent, (await app.CallAsync("DELETE", "/api/users/alice")).Status);
        Assert.Equal("alice", deleted[^1]);
    }

    static string? Text(ClientRequest request) => request.Argument.AsString();

    static string? Text(JsonElement json, string name) => json.GetProperty(name).GetString();

    static string? Code(JsonElement answer) => Text(answer.GetProperty("error"), "code");
}
