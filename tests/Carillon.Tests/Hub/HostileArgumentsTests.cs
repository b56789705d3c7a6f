using System.Text.Json;
using Carillon.Hub;

namespace Carillon.Tests.Live;

/// <summary>Subscribing with what no program of ours sends: it is answered, and nobody else notices.</summary>
public class HostileArgumentsTests
{
    [Theory]
    [InlineData("subscribe")]
    [InlineData("unsubscribe")]
    public async Task Arguments_of_the_wrong_type_are_refused_with_invalid_payload(string name)
    {
        await using var app = await StartAsync();
        using var reader = await app.ConnectAsync();
        await reader.AskAsync("subscribe", "news:sport");
        await reader.NextAsync("subscribed");
        string[] arguments =
        [
            "", ",null", ",true", ",0", ",-1", ",1e999", ",[]", ",[\"news:sport\"]", ",{}", ",{\"channel\":null}", ",{\"channel\":1}", ",{\"channel\":[\"news:sport\"]}", ",{\"channel\":{\"channel\":\"news:sport\"}}",
            ",{\"\\ud800\":1}", ",{\"Channel\":\"news:sport\"}", ",{\"channel\":\"news:sport\",\"\\ud800\\ud800\":1}",
            .. Since("1", "\"x\"", "[]", "true", "{}", "{\"epoch\":\"e\"}", "{\"offset\":1}", "{\"epoch\":1,\"offset\":1}", "{\"epoch\":\"\",\"offset\":1}", "{\"epoch\":\"\\ud800\",\"offset\":1}",
                "{\"epoch\":\"e\",\"offset\":\"1\"}", "{\"epoch\":\"e\",\"offset\":-1}", "{\"epoch\":\"e\",\"offset\":1.5}", "{\"epoch\":\"e\",\"offset\":1e999}", "{\"epoch\":\"e\",\"offset\":9223372036854775808}",
                "{\"epoch\":null,\"offset\":null}", "{\"\\ud800\":1}", "{\"epoch\":\"e\",\"offset\":1,\"\\ud800\\ud800\":1}", $"{{\"epoch\":\"{new string('e', 65536)}\",\"offset\":1}}"),
            .. Names().Select(channel => "," + JsonSerializer.Serialize(channel)), ",\"\\ud800\"", ",\"news:\\udc00\"",
        ];
        foreach (var rest in arguments)
        {
            var answer = await AskAsync(reader, $"[\"{name}\"{rest}]");
            // Leaving a channel needs no position.
            if (name == "unsubscribe" && rest.Contains("since", StringComparison.Ordinal) && answer.GetProperty("ok").GetBoolean()) continue;
            Assert.True(answer.GetProperty("ok").GetBoolean() == false && answer.GetProperty("error").GetProperty("code").GetString() == "invalid-payload", $"{rest}: {answer}");
        }
        await AssertServedAsync(app);
    }

    [Theory]
    [InlineData("__proto__")]
    [InlineData("constructor")]
    [InlineData("toString")]
    [InlineData("news:__proto__:x")]
    [InlineData("news")]
    [InlineData("News:sport")]
    [InlineData("news:sport ")]
    [InlineData(" news:sport")]
    [InlineData("news:*")]
    [InlineData("*")]
    [InlineData("{topic}")]
    [InlineData("../news:sport/x:y")]
    [InlineData("changes:sqlite_master' --")]
    public async Task Names_that_mean_something_elsewhere_mean_nothing_here(string channel)
    {
        await using var app = await StartAsync();
        using var reader = await app.ConnectAsync();
        var answer = await reader.AskAsync("subscribe", channel);
        var code = answer.GetProperty("ok").GetBoolean() ? "joined" : answer.GetProperty("error").GetProperty("code").GetString();
        // A topic may be called what it likes: it is a channel of that very name.
        Assert.Equal(channel is "news:sport " or "news:*" ? "joined" : "unknown-channel", code);
        await app.Live.PublishAsync("news:sport", new { Title = "Goal" });
        await AssertServedAsync(app);
    }

    [Theory]
    [InlineData("__proto__")]
    [InlineData("session")]
    [InlineData("subscribed")]
    [InlineData("")]
    [InlineData("\0")]
    public async Task Events_that_nobody_knows_are_answered_with_unknown_event(string name)
    {
        await using var app = await StartAsync();
        using var reader = await app.ConnectAsync();
        Assert.Equal("unknown-event", (await reader.AskAsync(name, null)).GetProperty("error").GetProperty("code").GetString());
        Assert.Equal("unknown-event", (await reader.AskAsync(new string('n', 64 * 1024), null)).GetProperty("error").GetProperty("code").GetString());
        await AssertServedAsync(app);
    }

    static IEnumerable<string> Names() => ["", ":", "::", "a:", ":a", "a\0b", "\n", "news:\u0085", "news:\u001b[2J", new string('n', 201), new string('n', 64 * 1024)];

    static IEnumerable<string> Since(params string[] values) => values.Select(value => $",{{\"channel\":\"news:sport\",\"since\":{value}}}");

    static Task<TestApp> StartAsync() => TestApp.StartAsync(options =>
    {
        options.AllowAnonymous = true;
        options.Areas.Add(new Area("news:{topic}", "news") { Subscribe = Grant.Everyone, HistorySize = 10 });
    });

    static async Task<JsonElement> AskAsync(TestClient client, string json)
    {
        await client.SendAsync("42999" + json);
        while (true)
        {
            var packet = await client.RawAsync() ?? throw new InvalidOperationException("closed after " + json[..Math.Min(100, json.Length)]);
            if (packet.StartsWith("43999[", StringComparison.Ordinal)) return JsonElement.Parse(packet[5..])[0];
        }
    }

    // Somebody else comes, joins and hears.
    static async Task AssertServedAsync(TestApp app)
    {
        using var other = await app.ConnectAsync();
        await other.AskAsync("subscribe", "news:weather");
        await other.NextAsync("subscribed");
        await app.Live.PublishAsync("news:weather", new { Title = "Rain" });
        Assert.Equal("Rain", (await other.NextAsync("news")).GetProperty("title").GetString());
    }
}
