using System.Net;
using System.Text.Json;
using Carillon.Tests.Live;

namespace Carillon.Tests.Resources;

public class ResourceUpdatesTests
{
    [Fact]
    public async Task Who_follows_a_resource_hears_its_updates_and_no_others()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        using var client = await app.ConnectAsAsync("alice");
        var answer = await client.AskAsync("subscribe:resource", "7");
        Assert.Equal((true, "resource:updates:7"), (answer.GetProperty("ok").GetBoolean(), answer.GetProperty("channel").GetString()));
        await client.NextAsync("subscribed");

        await app.CallAsync("POST", "/api/resources/8/updates", new { operation = "update", data = new { title = "another" } });
        var (status, update) = await app.CallAsync("POST", "/api/resources/7/updates", new { operation = "update", data = new { title = "new" }, actor = "bob" });
        Assert.Equal((HttpStatusCode.Created, 1), (status, update.GetProperty("version").GetInt32()));
        await app.CallAsync("POST", "/api/resources/7/updates", new { operation = "update", patch = new { title = "newer" } });
        await app.CallAsync("POST", "/api/resources/7/updates", new { operation = "delete" });

        var first = await client.NextAsync("resource:update");
        Assert.Equal(("7", 1, "update", "new", "bob"), (first.GetProperty("resourceId").GetString(), first.GetProperty("version").GetInt32(), first.GetProperty("operation").GetString(),
            first.GetProperty("data").GetProperty("title").GetString(), first.GetProperty("actor").GetString()));
        Assert.False(first.TryGetProperty("patch", out _));
        var second = await client.NextAsync("resource:update");
        Assert.Equal((2, "newer", JsonValueKind.Null), (second.GetProperty("version").GetInt32(), second.GetProperty("patch").GetProperty("title").GetString(), second.GetProperty("actor").ValueKind));
        Assert.Equal((3, "delete"), (await client.NextAsync("resource:update")) is var third ? (third.GetProperty("version").GetInt32(), third.GetProperty("operation").GetString()!) : default);

        Assert.Equal("resource:updates:7", (await client.AskAsync("unsubscribe:resource", new { resourceId = "7" })).GetProperty("channel").GetString());
    }

    [Fact]
    public async Task Data_that_is_null_is_data()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        var (_, update) = await app.CallAsync("POST", "/api/resources/7/updates", "{\"operation\":\"cleared\",\"data\":null}");
        Assert.Equal(JsonValueKind.Null, update.GetProperty("data").ValueKind);
        Assert.False(update.TryGetProperty("patch", out _));
    }

    [Fact]
    public async Task A_version_only_grows_whoever_posts_at_once()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        using var client = await app.ConnectAsAsync("alice");
        await client.AskAsync("subscribe:resource", "7");
        await client.NextAsync("subscribed");
        await Task.WhenAll(Enumerable.Range(0, 40).Select(i => app.CallAsync("POST", "/api/resources/7/updates", new { operation = "update", data = i })));
        for (var version = 1; version <= 40; version++) Assert.Equal(version, (await client.NextAsync("resource:update")).GetProperty("version").GetInt32());
    }

    [Theory]
    [InlineData("7", "{}")]
    [InlineData("7", "{\"operation\":\"\"}")]
    [InlineData("7", "{\"operation\":7}")]
    [InlineData("7", "{\"operation\":\"update\",\"data\":1,\"patch\":2}")]
    [InlineData("a%3Ab", "{\"operation\":\"update\"}")]
    [InlineData("%0A", "{\"operation\":\"update\"}")]
    public async Task An_update_that_is_not_as_it_should_be_is_told_so(string id, string body)
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        Assert.Equal("invalid-payload", (await app.CallAsync("POST", $"/api/resources/{id}/updates", body)).Body.GetProperty("code").GetString());
    }

    [Theory]
    [InlineData("subscribe:resource", "7:8")]
    [InlineData("subscribe:resource", "")]
    [InlineData("subscribe:resource", 7)]
    [InlineData("subscribe:resource", null)]
    [InlineData("unsubscribe:resource", "7:8")]
    [InlineData("subscribe:suggestions", "votes")]
    [InlineData("subscribe:suggestions", 7)]
    public async Task A_subscription_that_names_no_resource_is_told_so(string name, object? argument)
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        using var client = await app.ConnectAsAsync("alice");
        Assert.Equal("invalid-payload", (await client.AskAsync(name, argument)).GetProperty("error").GetProperty("code").GetString());
    }
}
