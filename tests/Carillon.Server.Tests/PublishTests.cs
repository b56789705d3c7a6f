using System.Net;
using System.Text.Json;
using Carillon.Server.CommandLine;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Carillon.Server.Tests;

public sealed class PublishTests : IAsyncLifetime
{
    readonly Terminal _terminal = new();
    readonly List<(string? Authorization, JsonElement Body)> _asked = [];
    WebApplication _app = null!;
    IResult _answer = Results.Ok();

    public async ValueTask InitializeAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        _app = builder.Build();
        _app.MapPost("/api/publish", (HttpContext http, JsonElement body) =>
        {
            _asked.Add((http.Request.Headers.Authorization, body));
            return _answer;
        });
        await _app.StartAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _terminal.Dispose();
    }

    [Fact]
    public async Task It_asks_as_a_back_end_does()
    {
        _terminal["CARILLON_KEY"] = "the key";
        Assert.Equal(ExitCode.Done, await _terminal.RunAsync("publish", "orders:7", """{"a":[1,"é"]}""", "--event", "order", "--url", _app.Urls.First()));

        var (authorization, body) = Assert.Single(_asked);
        Assert.Equal("ApiKey the key", authorization);
        Assert.True(JsonElement.DeepEquals(JsonElement.Parse("""{"channel":"orders:7","data":{"a":[1,"é"]},"event":"order"}"""), body));
        Assert.Equal("published", _terminal.Out.All.Trim());
    }

    [Fact]
    public async Task The_key_is_the_one_given_or_the_variable_or_the_first_of_the_configuration()
    {
        _terminal["CARILLON__Access__ApiKeys__0"] = "configured";
        await _terminal.RunAsync("publish", "a", "1", "--url", _app.Urls.First());
        _terminal["CARILLON_KEY"] = "variable";
        await _terminal.RunAsync("publish", "a", "null", "--url", _app.Urls.First());
        await _terminal.RunAsync("publish", "a", "true", "--url", _app.Urls.First(), "--key", "given");
        Assert.Equal(["ApiKey configured", "ApiKey variable", "ApiKey given"], _asked.Select(asked => asked.Authorization));
    }

    [Fact]
    public async Task A_problem_is_told_with_its_code()
    {
        _answer = Results.Problem(statusCode: 429, title: "Too many requests", detail: "This is more than one key may ask for.", extensions: new Dictionary<string, object?> { ["code"] = "rate-limited", ["retryAfter"] = 3 });
        Assert.Equal(ExitCode.Failed, await _terminal.RunAsync("publish", "a", "1", "--key", "hunter2", "--url", _app.Urls.First()));
        Assert.Equal("rate-limited: This is more than one key may ask for. Try again in 3 s.", _terminal.Error.All.Trim());
        Assert.DoesNotContain("hunter2", _terminal.Error.All + _terminal.Out.All, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("hello", "http://127.0.0.1:1", "key", "The payload must be JSON.", 2)]
    [InlineData("1", "127.0.0.1", "key", "--url must be an address", 2)]
    [InlineData("1", "http://127.0.0.1:1", "", "An API key is needed", 2)]
    [InlineData("1", "http://127.0.0.1:1", "key\r\nX: y", "An API key has printable", 2)]
    [InlineData("1", "http://127.0.0.1:1", "key", "http://127.0.0.1:1 cannot be reached", 1)]
    public async Task What_cannot_be_published_is_told(string json, string url, string key, string sentence, int exit)
    {
        Assert.Equal(exit, await _terminal.RunAsync("publish", "a", json, "--url", url, "--key", key));
        Assert.StartsWith(sentence, _terminal.Error.All, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(502, "<html>Bad gateway</html>", "The server answered with 502.")]
    [InlineData(500, "", "The server answered with 500.")]
    [InlineData(400, """{"code":7}""", "The server answered with 400.")]
    [InlineData(404, """{"code":"not-found","title":"Not found"}""", "not-found: Not found")]
    public void What_is_no_problem_of_ours_is_told_by_its_status(int status, string text, string told) => Assert.Equal(told, Publish.Told(status, text));
}
