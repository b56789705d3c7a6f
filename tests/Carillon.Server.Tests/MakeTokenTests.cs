using Carillon.Access.Tokens;
using Carillon.Server.CommandLine;
using Carillon.Server.Configuration;
using Microsoft.Extensions.Logging.Abstractions;

namespace Carillon.Server.Tests;

public sealed class MakeTokenTests : IDisposable
{
    const string Secret = "a secret of exactly 32 bytes, ok";

    readonly Terminal _terminal = new();

    public void Dispose() => _terminal.Dispose();

    [Fact]
    public async Task A_token_that_was_made_here_is_good_here()
    {
        (_terminal["CARILLON__Access__SigningKey"], _terminal["CARILLON__Access__Issuer"], _terminal["CARILLON__Access__Audience"]) = (Secret, "joe", "shop");
        Assert.Equal(ExitCode.Done, await _terminal.RunAsync("token", "--sub", "alice", "--name", "Alice Martin", "--role", "seller", "--role", "manager", "--region", "north",
            "--interest", "fruit", "--expires", "2h", "--capability", "orders:*=subscribe,publish", "--capability", "orders:*=publish,presence", "--capability", "a=b"));

        var token = (await ReadAsync(_terminal.Out.All)).Token!;
        Assert.Equal(("alice", "Alice Martin", "north"), (token.Subject, token.Name, token.Region));
        Assert.Equal(["seller", "manager"], token.Roles);
        Assert.Equal(["fruit"], token.Interests);
        Assert.Equal(["subscribe", "publish", "presence"], token.Capabilities["orders:*"]);
        Assert.Equal(["b"], token.Capabilities["a"]);
        Assert.Equal(TimeSpan.FromHours(2), token.ExpiresAt - token.IssuedAt);
        Assert.NotNull(token.Id);
        Assert.Empty(_terminal.Error.All);
    }

    [Fact]
    public async Task The_token_is_all_that_is_printed()
    {
        _terminal["CARILLON__Access__SigningKey"] = Secret;
        await _terminal.RunAsync("token", "--sub", "alice");
        Assert.Matches(@"^[\w-]+\.[\w-]+\.[\w-]+\n$", _terminal.Out.All.ReplaceLineEndings("\n"));
        Assert.Equal("alice", (await ReadAsync(_terminal.Out.All)).Token!.Subject);
    }

    [Theory]
    [InlineData("--sub a:b", "--sub must be an id")]
    [InlineData("--sub alice --expires soon", "--expires must be a time")]
    [InlineData("--sub alice --expires 0s", "--expires must be a time")]
    [InlineData("--sub alice --expires -1h", "--expires must be a time")]
    [InlineData("--sub alice --capability orders", "--capability must be a channel")]
    [InlineData("--sub alice --capability =subscribe", "--capability must be a channel")]
    [InlineData("--sub alice --capability orders:*=", "--capability must be a channel")]
    public async Task What_makes_no_token_is_told(string line, string sentence)
    {
        _terminal["CARILLON__Access__SigningKey"] = Secret;
        Assert.Equal(ExitCode.Misconfigured, await _terminal.RunAsync(["token", .. line.Split(' ')]));
        Assert.StartsWith(sentence, _terminal.Error.All, StringComparison.Ordinal);
        Assert.Empty(_terminal.Out.All);
    }

    [Fact]
    public async Task Without_a_key_there_is_no_token()
    {
        Assert.Equal(ExitCode.Misconfigured, await _terminal.RunAsync("token", "--sub", "alice"));
        Assert.StartsWith("There is no key to sign with.", _terminal.Error.All, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("30s", 30)]
    [InlineData("15m", 900)]
    [InlineData("1h", 3600)]
    [InlineData("7d", 604_800)]
    [InlineData("", null)]
    [InlineData("h", null)]
    [InlineData("1", null)]
    [InlineData("1.5h", null)]
    [InlineData("1w", null)]
    [InlineData("999999999d", null)]
    public void Times_are_a_number_and_a_unit(string text, int? seconds) => Assert.Equal(seconds, Duration.Read(text)?.TotalSeconds);

    async Task<TokenResult> ReadAsync(string text)
    {
        using var tokens = new TokenValidator(Settings.Read(_terminal.Shell).Carillon.Access, TimeProvider.System, NullLogger.Instance);
        return await tokens.ValidateAsync(text.Trim(), CancellationToken.None);
    }
}
