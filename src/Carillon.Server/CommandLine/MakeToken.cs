using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Carillon.Access;
using Carillon.Access.Tokens;
using Carillon.Server.Configuration;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Carillon.Server.CommandLine;

/// <summary>Makes a token for trying out, which this server accepts.</summary>
static class MakeToken
{
    public sealed record Request(
        string Subject, string? Name, IReadOnlyList<string> Roles, string? Region, IReadOnlyList<string> Interests, string Expires,
            IReadOnlyList<string> Capabilities);

    public static async Task<int> RunAsync(Shell shell, string? file, Request request, TimeProvider clock)
    {
        var settings = Settings.Read(shell, file);
        var problem = settings.Problems.Count > 0 ? settings.Problems[0] : Problem(settings.Carillon.Access, request);
        if (problem is not null)
        {
            await shell.Error.WriteLineAsync(problem);
            return ExitCode.Misconfigured;
        }
        await shell.Out.WriteLineAsync(Sign(settings.Carillon.Access, request, clock));
        return ExitCode.Done;
    }

    /// <summary>Why there can be no such token; null where there can.</summary>
    internal static string? Problem(AccessOptions access, Request request) =>
        string.IsNullOrEmpty(access.SigningKey)
            ? $"There is no key to sign with. Set the one that the server has: {Settings.Prefix}Access__SigningKey. `openssl rand -base64 "
                + "48` makes one." :
        !Claims.IsSubject(request.Subject)
            ? $"--sub must be an id of 1 to {Claims.LongestSubject} characters, without colons and control characters." :
        Duration.Read(request.Expires) is null
            ? $"--expires must be a time such as 30s, 15m, 1h or 7d; \"{request.Expires}\" is none." :
        request.Capabilities.FirstOrDefault(text => ReadCapability(text) is null) is { } odd
            ? $"--capability must be a channel, an equals sign and actions, such as \"orders:*=subscribe,publish\"; \"{odd}\" is not." :
        null;

    internal static string Sign(AccessOptions access, Request request, TimeProvider clock)
    {
        var now = clock.GetUtcNow();
        JsonObject claims = new()
        {
            ["sub"] = request.Subject,
            ["iat"] = now.ToUnixTimeSeconds(),
            ["exp"] = (now + Duration.Read(request.Expires)!.Value).ToUnixTimeSeconds(),
            ["jti"] = Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(12)),
        };
        if (!string.IsNullOrEmpty(access.Issuer)) claims["iss"] = access.Issuer;
        if (!string.IsNullOrEmpty(access.Audience)) claims["aud"] = access.Audience;
        if (request.Name is not null) claims["name"] = request.Name;
        if (request.Roles.Count > 0) claims["roles"] = ListOf(request.Roles);
        if (request.Region is not null) claims["region"] = request.Region;
        if (request.Interests.Count > 0) claims["interests"] = ListOf(request.Interests);
        if (request.Capabilities.Count > 0)
            claims["capabilities"] = new JsonObject(request.Capabilities.Select(text => ReadCapability(text)!.Value).GroupBy(capability =>
                capability.Channel)
                .Select(group => KeyValuePair.Create(
                    group.Key, (JsonNode?)ListOf(group.SelectMany(capability => capability.Actions).Distinct()))));

        var key = new SigningCredentials(Access.Tokens.TokenValidator.Secret(access.SigningKey!), SecurityAlgorithms.HmacSha256);
        return new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false }.CreateToken(claims.ToJsonString(), key);
    }

    static (string Channel, string[] Actions)? ReadCapability(string text)
    {
        var at = text.LastIndexOf('=');
        if (at < 1) return null;
        var actions = text[(at + 1)..].Split(',', StringSplitOptions.TrimEntries);
        return actions.Any(string.IsNullOrEmpty) ? null : (text[..at], actions);
    }

    static JsonArray ListOf(IEnumerable<string> texts) => [.. texts.Select(text => (JsonNode?)text)];
}
