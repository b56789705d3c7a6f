using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Carillon.Server.Configuration;

namespace Carillon.Server.CommandLine;

/// <summary>Publishes on a channel of a running server, as a back end does.</summary>
static class Publish
{
    public sealed record Request(string Channel, string Json, string? Event, string Url, string? Key);

    static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public static async Task<int> RunAsync(Shell shell, string? file, Request request, CancellationToken ct)
    {
        var key = request.Key ?? shell.Variable("CARILLON_KEY") ?? Settings.Read(shell, file).Carillon.Access.ApiKeys.FirstOrDefault();
        if (ProblemWith(request, key, out var data) is { } problem)
        {
            await shell.Error.WriteLineAsync(problem);
            return ExitCode.Misconfigured;
        }

        JsonObject body = new() { ["channel"] = request.Channel, ["data"] = data };
        if (request.Event is not null) body["event"] = request.Event;
        using var http = new HttpClient { Timeout = Patience };
        using var call = new HttpRequestMessage(HttpMethod.Post, new Uri(new Uri(request.Url), "/api/publish"));
        call.Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json");
        call.Headers.Authorization = new AuthenticationHeaderValue("ApiKey", key);
        try
        {
            using var answer = await http.SendAsync(call, ct);
            var text = await answer.Content.ReadAsStringAsync(ct);
            if (answer.IsSuccessStatusCode)
            {
                await shell.Out.WriteLineAsync(text.Length > 0 ? text : "published");
                return ExitCode.Done;
            }
            await shell.Error.WriteLineAsync(Told((int)answer.StatusCode, text));
        }
        catch (HttpRequestException ex)
        {
            await shell.Error.WriteLineAsync($"{request.Url} cannot be reached: {ex.Message}");
        }
        catch (TaskCanceledException) when (!ct.IsCancellationRequested)
        {
            await shell.Error.WriteLineAsync(
                $"{request.Url} did not answer within {Patience.TotalSeconds} s. It may have published all the same.");
        }
        return ExitCode.Failed;
    }

    static string? ProblemWith(Request request, string? key, out JsonNode? data)
    {
        data = null;
        if (!Uri.TryCreate(request.Url, UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https"))
            return $"--url must be an address such as http://127.0.0.1:8080; \"{request.Url}\" is none.";
        if (string.IsNullOrEmpty(
            key)) return $"An API key is needed: --key, CARILLON_KEY, or the server's own {Settings.Prefix}Access__ApiKeys__0.";
        if (key.Any(character => character is < ' ' or > '~')) return "An API key has printable ASCII characters only.";
        try
        {
            data = JsonNode.Parse(request.Json);
            return null;
        }
        catch (JsonException)
        {
            return "The payload must be JSON. A text has quotes of its own, which the shell must leave there: '\"hello\"'.";
        }
    }

    /// <summary>A problem document as one line.</summary>
    internal static string Told(int status, string text)
    {
        try
        {
            var problem = JsonNode.Parse(text) as JsonObject;
            if (problem?["code"]?.GetValue<string>() is { } code)
                return $"{code}: "
                    + $"{problem["detail"]?.GetValue<string>() ?? problem["title"]?.GetValue<string>()}"
                    + $"{(problem["retryAfter"] is { } wait ? $" Try again in {wait} s." : "")}";
        }
        catch (Exception ex) when (ex is JsonException or InvalidOperationException)
        {
            // Not ours: some proxy in between. Its status says enough.
        }
        return $"The server answered with {status}.";
    }
}
