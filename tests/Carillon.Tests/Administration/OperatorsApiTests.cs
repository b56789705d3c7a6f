using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Carillon.Hosting;
using Carillon.SocketIO.Limits;
using Carillon.SocketIO.Sockets;
using Carillon.TestTools;
using Carillon.Tests.Live;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.Tests.Operators;

/// <summary>Bans and limits over HTTP, for those who have a key.</summary>
public class OperatorsApiTests
{
    const string Key = "a key of the configuration";

    readonly HandDrivenClock _clock = new();

    [Theory]
    [InlineData("GET", "/api/bans")]
    [InlineData("GET", "/api/bans?limit=rubbish")]
    [InlineData("DELETE", "/api/bans/192.0.2.7")]
    [InlineData("GET", "/api/limits")]
    public async Task Without_a_key_nobody_gets_in(string method, string path)
    {
        await using var app = await StartAsync();
        foreach (var authorization in new[] { null, "ApiKey", "ApiKey wrong", "Bearer " + Key, "ApiKey " + Key + "x", Key })
        {
            using var answer = await SendAsync(app, new HttpMethod(method), path, authorization);
            await AssertProblemAsync(answer, HttpStatusCode.Unauthorized, "unauthorized");
            Assert.Equal("ApiKey, Bearer", answer.Headers.WwwAuthenticate.ToString());
        }
    }

    [Theory]
    [InlineData("ApiKey ")]
    [InlineData("ApiKey wrong")]
    public async Task Where_no_key_is_configured_nobody_gets_in(string authorization)
    {
        await using var app = await TestApp.StartAsync(_ => { });
        using var answer = await SendAsync(app, HttpMethod.Get, "/api/bans", authorization);

        await AssertProblemAsync(answer, HttpStatusCode.Unauthorized, "unauthorized");
    }

    [Fact]
    public async Task Bans_are_listed_and_lifted()
    {
        await using var app = await StartAsync();
        var addresses = app.Get<SocketServer>().Engine.Addresses;
        addresses.Ban(IPAddress.Parse("192.0.2.7"), TimeSpan.FromMinutes(5));
        addresses.Ban(IPAddress.Parse("2001:db8::17"), TimeSpan.FromMinutes(1));

        var list = await GetAsync(app, "/api/bans");
        Assert.Equal(["192.0.2.7", "2001:db8::/64"], list.GetProperty("items").EnumerateArray().Select(i => i.GetProperty("address").GetString()));
        Assert.Equal("2026-01-05T08:05:00Z", list.GetProperty("items")[0].GetProperty("until").GetString());
        Assert.Equal(1, list.GetProperty("items")[0].GetProperty("strikes").GetInt32());
        Assert.Equal("banned by an administrator", list.GetProperty("items")[0].GetProperty("reason").GetString());
        Assert.False(list.TryGetProperty("next", out _));

        foreach (var address in new[] { "192.0.2.7", Uri.EscapeDataString("2001:db8::/64") })
        {
            using var lifted = await SendAsync(app, HttpMethod.Delete, $"/api/bans/{address}", $"ApiKey {Key}");
            Assert.Equal(HttpStatusCode.NoContent, lifted.StatusCode);
            using var again = await SendAsync(app, HttpMethod.Delete, $"/api/bans/{address}", $"ApiKey {Key}");
            await AssertProblemAsync(again, HttpStatusCode.NotFound, "not-found");
        }
        Assert.Empty(addresses.Bans());
    }

    [Fact]
    public async Task A_network_may_be_lifted_with_its_slash_as_it_is()
    {
        await using var app = await StartAsync();
        app.Get<SocketServer>().Engine.Addresses.Ban(IPAddress.Parse("2001:db8::17"), TimeSpan.FromMinutes(1));

        using var lifted = await SendAsync(app, HttpMethod.Delete, "/api/bans/2001:db8::/64", $"ApiKey {Key}");
        Assert.Equal(HttpStatusCode.NoContent, lifted.StatusCode);
    }

    [Fact]
    public async Task A_long_list_comes_in_parts()
    {
        await using var app = await StartAsync();
        for (var i = 0; i < 120; i++) app.Get<SocketServer>().Engine.Addresses.Ban(new IPAddress([192, 0, 2, (byte)i]), TimeSpan.FromMinutes(5));

        List<string> seen = [];
        List<int> parts = [];
        for (var path = "/api/bans"; path is not null;)
        {
            var part = await GetAsync(app, path);
            seen.AddRange(part.GetProperty("items").EnumerateArray().Select(i => i.GetProperty("address").GetString()!));
            parts.Add(part.GetProperty("items").GetArrayLength());
            path = part.TryGetProperty("next", out var next) ? $"/api/bans?cursor={next.GetString()}" : null;
        }
        Assert.Equal([50, 50, 20], parts);
        Assert.Equal(120, seen.Distinct().Count());
    }

    [Theory]
    [InlineData("/api/bans?limit=0")]
    [InlineData("/api/bans?limit=501")]
    [InlineData("/api/bans?limit=many")]
    [InlineData("/api/bans?cursor=%20%21")]
    [InlineData("/api/limits?limit=-1")]
    public async Task What_cannot_be_understood_is_said(string path)
    {
        await using var app = await StartAsync();
        using var answer = await SendAsync(app, HttpMethod.Get, path, $"ApiKey {Key}");

        await AssertProblemAsync(answer, HttpStatusCode.BadRequest, "invalid-payload");
    }

    [Fact]
    public async Task Limits_show_what_is_in_force_and_who_takes_most()
    {
        await using var app = await StartAsync();
        using var one = await app.ConnectAsync();
        using var other = await app.ConnectAsync();

        var shown = await GetAsync(app, "/api/limits");
        Assert.Equal(4000, shown.GetProperty("limits").GetProperty("connectionsPerAddress").GetInt32());
        Assert.Equal(2000, shown.GetProperty("limits").GetProperty("perConnection").GetProperty("eventsPerSecond").GetInt32());
        Assert.Equal(1000, shown.GetProperty("limits").GetProperty("subscriptionsPerConnection").GetInt32());
        Assert.Equal(2, shown.GetProperty("connections").GetInt32());
        var item = Assert.Single(shown.GetProperty("items").EnumerateArray());
        Assert.Equal("127.0.0.1", item.GetProperty("address").GetString());
        Assert.Equal((2, 0), (item.GetProperty("open").GetInt32(), item.GetProperty("halfOpen").GetInt32()));
    }

    [Theory]
    [InlineData("ApiKey wrong")]
    [InlineData("Bearer wrong")]
    public async Task Too_many_wrong_keys_or_tokens_make_the_address_wait_and_leave_its_connections_alone(string authorization)
    {
        await using var app = await StartAsync(fair: fair => fair.FailedCredentialsPerMinute = 3);
        for (var i = 0; i < 3; i++)
        {
            using var wrong = await SendAsync(app, HttpMethod.Get, "/api/bans", authorization);
            Assert.Equal(HttpStatusCode.Unauthorized, wrong.StatusCode);
        }
        using (var tooMany = await SendAsync(app, HttpMethod.Get, "/api/bans", $"ApiKey {Key}"))
        {
            var problem = await AssertProblemAsync(tooMany, HttpStatusCode.TooManyRequests, "rate-limited");
            Assert.Equal(20, problem.GetProperty("retryAfter").GetInt32());
            Assert.Equal(TimeSpan.FromSeconds(20), tooMany.Headers.RetryAfter?.Delta);
        }
        using var client = await app.ConnectAsync();

        _clock.Advance(TimeSpan.FromSeconds(20));
        await GetAsync(app, "/api/bans");
    }

    [Fact]
    public async Task A_key_that_asks_too_fast_is_told_when_to_go_on()
    {
        await using var app = await StartAsync(options => (options.Access.RequestsPerSecondPerKey, options.Access.RequestBurstPerKey) = (1, 2));
        await GetAsync(app, "/api/bans");
        await GetAsync(app, "/api/bans");
        using (var tooMany = await SendAsync(app, HttpMethod.Get, "/api/bans", $"ApiKey {Key}"))
            Assert.Equal(1, (await AssertProblemAsync(tooMany, HttpStatusCode.TooManyRequests, "rate-limited")).GetProperty("retryAfter").GetInt32());

        _clock.Advance(TimeSpan.FromSeconds(1));
        await GetAsync(app, "/api/bans");
    }

    [Fact]
    public async Task Subscribing_too_fast_is_refused_with_a_time_to_wait()
    {
        await using var app = await StartAsync(fair: fair => (fair.PerConnection.OperationsPerSecond, fair.PerConnection.OperationBurst) = (1, 2));
        using var client = await app.ConnectAsync();
        await client.AskAsync("subscribe", "nowhere:1");
        await client.AskAsync("subscribe", "nowhere:2");

        var error = (await client.AskAsync("subscribe", "nowhere:3")).GetProperty("error");
        Assert.Equal("rate-limited", error.GetProperty("code").GetString());
        Assert.Equal(1, error.GetProperty("retryAfter").GetInt32());
        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("unknown-channel", (await client.AskAsync("subscribe", "nowhere:4")).GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public async Task Malformed_subscriptions_ban_the_address_in_the_end()
    {
        await using var app = await StartAsync(fair: fair => fair.MalformedPerMinute = 10);
        using var client = await app.ConnectAsync();
        for (var i = 0; i <= 10; i++) await client.AskAsync("subscribe", 42);

        Assert.Equal("127.0.0.1", Assert.Single(app.Get<SocketServer>().Engine.Addresses.Bans()).Address);
    }

    [Fact]
    public async Task An_empty_key_is_refused_at_the_start()
    {
        var error = await Assert.ThrowsAnyAsync<Exception>(() => TestApp.StartAsync(options => options.Access.ApiKeys = [""]));
        Assert.Contains("API key", error.Message, StringComparison.Ordinal);
    }

    Task<TestApp> StartAsync(Action<CarillonOptions>? configure = null, Action<LimitOptions>? fair = null) => TestApp.StartAsync(options =>
    {
        options.AllowAnonymous = true;
        options.Access.ApiKeys = ["another key", Key];
        configure?.Invoke(options);
    }, services => services.AddSingleton<TimeProvider>(_clock).Configure<SocketIOOptions>(io => fair?.Invoke(io.Engine.Limits)));

    static async Task<JsonElement> GetAsync(TestApp app, string path)
    {
        using var answer = await SendAsync(app, HttpMethod.Get, path, $"ApiKey {Key}");
        var body = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode, body);
        return JsonElement.Parse(body);
    }

    static Task<HttpResponseMessage> SendAsync(TestApp app, HttpMethod method, string path, string? authorization)
    {
        var request = new HttpRequestMessage(method, path);
        if (authorization is not null) request.Headers.TryAddWithoutValidation("Authorization", authorization);
        return app.Http.SendAsync(request);
    }

    static async Task<JsonElement> AssertProblemAsync(HttpResponseMessage answer, HttpStatusCode status, string code)
    {
        Assert.Equal(status, answer.StatusCode);
        Assert.Equal(new MediaTypeHeaderValue("application/problem+json"), answer.Content.Headers.ContentType);
        var problem = JsonElement.Parse(await answer.Content.ReadAsStringAsync());
        Assert.Equal(code, problem.GetProperty("code").GetString());
        Assert.Equal((int)status, problem.GetProperty("status").GetInt32());
        return problem;
    }
}
