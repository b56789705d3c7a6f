using System.Net;
using System.Text.Json;
using Carillon.Hub;
using Carillon.Tests.Live;
using Carillon.Votes;

namespace Carillon.Tests.Votes;

public class VotingTests
{
    [Theory]
    [InlineData(0, 1, 1, 0)]
    [InlineData(0, -1, 0, 1)]
    [InlineData(1, -1, -1, 1)]
    [InlineData(-1, 1, 1, -1)]
    [InlineData(1, 0, -1, 0)]
    [InlineData(-1, 0, 0, -1)]
    [InlineData(1, 1, 0, 0)]
    [InlineData(0, 0, 0, 0)]
    public void A_change_of_mind_changes_the_tally(int from, int to, int up, int down) => Assert.Equal((up, down), CastVote.Change(from, to));

    [Fact]
    public async Task A_person_has_one_vote_changes_it_and_withdraws_it_and_everybody_sees_it()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob"]);
        using var bob = await app.ConnectAsAsync("bob");
        await bob.AskAsync("subscribe:suggestions", null);
        await bob.NextAsync("subscribed");
        var id = await SuggestAsync(app, "More bread");

        foreach (var (user, value, up, down, version) in new[] { ("alice", 1, 1, 0, 1), ("bob", 1, 2, 0, 2), ("alice", -1, 1, 1, 3), ("alice", 0, 1, 0, 4) })
        {
            var (status, tally) = await app.CallAsAsync(user, "POST", $"/api/suggestions/{id}/vote", new { value });
            Assert.Equal((HttpStatusCode.OK, up, down, up - down, version), (status, Int(tally, "up"), Int(tally, "down"), Int(tally, "score"), Int(tally, "version")));
            var heard = await bob.NextAsync("suggestion:vote");
            Assert.Equal((id, up, down, version), (heard.GetProperty("suggestionId").GetString(), Int(heard, "up"), Int(heard, "down"), Int(heard, "version")));
        }
        // The same vote again changes nothing, and nothing is told.
        Assert.Equal(4, Int((await app.CallAsAsync("alice", "POST", $"/api/suggestions/{id}/vote", new { value = 0 })).Body, "version"));
        var mine = Assert.Single((await app.CallAsAsync("bob", "GET", "/api/suggestions")).Body.GetProperty("items").EnumerateArray());
        Assert.Equal((1, 1, 4), (Int(mine, "myVote"), Int(mine, "up"), Int(mine, "version")));

        var asked = await bob.AskAsync("suggestion:vote", new { suggestionId = id, value = -1 });
        Assert.Equal((true, 0, 1, 5), (asked.GetProperty("ok").GetBoolean(), Int(asked, "up"), Int(asked, "down"), Int(asked, "version")));
        Assert.Equal(5, Int(await bob.NextAsync("suggestion:vote"), "version"));
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("{\"value\":2}")]
    [InlineData("{\"value\":\"1\"}")]
    [InlineData("{\"value\":1.5}")]
    [InlineData("{\"value\":null}")]
    [InlineData("[1]")]
    public async Task What_is_no_vote_is_told_so_over_HTTP_and_by_event(string body)
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        var id = await SuggestAsync(app, "More bread");
        Assert.Equal("invalid-payload", (await app.CallAsAsync("alice", "POST", $"/api/suggestions/{id}/vote", body)).Body.GetProperty("code").GetString());
        using var client = await app.ConnectAsAsync("alice");
        var argument = body.StartsWith('{') ? JsonElement.Parse(body.Replace("{", $"{{\"suggestionId\":\"{id}\"{(body == "{}" ? "" : ",")}", StringComparison.Ordinal)) : JsonElement.Parse(body);
        Assert.Equal("invalid-payload", (await client.AskAsync("suggestion:vote", argument)).GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public async Task What_does_not_exist_cannot_be_voted_for()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        Assert.Equal("not-found", (await app.CallAsAsync("alice", "POST", "/api/suggestions/none/vote", new { value = 1 })).Body.GetProperty("code").GetString());
        Assert.Equal("not-found", (await app.CallAsAsync("alice", "GET", "/api/suggestions/none")).Body.GetProperty("code").GetString());
        using var client = await app.ConnectAsAsync("alice");
        Assert.Equal("not-found", (await client.AskAsync("suggestion:vote", new { suggestionId = "none", value = 1 })).GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public async Task Who_may_suggest_and_vote_can_be_narrowed()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], options =>
        {
            options.Votes.MaySuggest = Grant.Role("author");
            options.Votes.MayVote = Grant.Role("voter");
        });
        await app.PutUserAsync("ann", "author");
        Assert.Equal("forbidden", (await app.CallAsAsync("alice", "POST", "/api/suggestions", new { title = "t" })).Body.GetProperty("code").GetString());
        var id = (await app.CallAsAsync("ann", "POST", "/api/suggestions", new { title = "t" })).Body.GetProperty("id").GetString();
        Assert.Equal("forbidden", (await app.CallAsAsync("ann", "POST", $"/api/suggestions/{id}/vote", new { value = 1 })).Body.GetProperty("code").GetString());
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("{\"title\":\"  \"}")]
    [InlineData("{\"title\":7}")]
    public async Task A_suggestion_has_a_title(string body)
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        Assert.Equal("invalid-payload", (await app.CallAsAsync("alice", "POST", "/api/suggestions", body)).Body.GetProperty("code").GetString());
    }

    [Fact]
    public async Task Suggestions_come_in_parts_the_latest_first()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        List<string> made = [];
        for (var i = 0; i < 5; i++) made.Add(await SuggestAsync(app, $"Number {i}"));
        made.Reverse();
        List<string> read = [];
        for (var path = "/api/suggestions?limit=2"; path is not null;)
        {
            var part = (await app.CallAsAsync("alice", "GET", path)).Body;
            read.AddRange(part.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("id").GetString()!));
            path = part.TryGetProperty("next", out var next) ? $"/api/suggestions?limit=2&cursor={next.GetString()}" : null;
        }
        Assert.Equal(made.Order().Reverse(), read);
    }

    [Fact]
    public async Task Votes_at_once_are_counted_one_by_one_and_no_version_goes_backwards()
    {
        string[] voters = [.. Enumerable.Range(0, 20).Select(i => $"voter{i}")];
        await using var app = await TestApp.StartKnowingAsync(voters);
        var id = await SuggestAsync(app, "More bread", "voter0");
        using var watcher = await app.ConnectAsAsync("voter0");
        await watcher.AskAsync("subscribe", "suggestions:votes");
        await watcher.NextAsync("subscribed");

        await Task.WhenAll(voters.Select((voter, i) => Task.Run(async () =>
        {
            var random = new Random(i);
            for (var n = 0; n < 25; n++) await app.CallAsAsync(voter, "POST", $"/api/suggestions/{id}/vote", new { value = random.Next(-1, 2) });
        })));

        var end = (await app.CallAsAsync("voter0", "GET", $"/api/suggestions/{id}")).Body;
        var rows = await app.Database.QueryAsync<int>("SELECT value FROM carillon_votes");
        Assert.Equal((rows.Count(value => value == 1), rows.Count(value => value == -1)), (Int(end, "up"), Int(end, "down")));
        for (var last = 0; last < Int(end, "version");)
        {
            var heard = await watcher.NextAsync("suggestion:vote");
            Assert.True(Int(heard, "version") > last);
            last = Int(heard, "version");
            if (last == Int(end, "version")) Assert.Equal((Int(end, "up"), Int(end, "down")), (Int(heard, "up"), Int(heard, "down")));
        }
    }

    static async Task<string> SuggestAsync(TestApp app, string title, string user = "alice")
    {
        var (status, suggestion) = await app.CallAsAsync(user, "POST", "/api/suggestions", new { title });
        Assert.Equal(HttpStatusCode.Created, status);
        return suggestion.GetProperty("id").GetString()!;
    }

    static int Int(JsonElement json, string member) => json.GetProperty(member).GetInt32();
}
