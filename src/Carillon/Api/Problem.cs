using Carillon.Diagnostics;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;

namespace Carillon.Api;

/// <summary>The answer to an HTTP request that failed: a problem document (RFC 9457) with a stable code.</summary>
static class Problem
{
    public static IResult Of(HttpContext http, Refusal refusal) =>
        Of(http, refusal.Error, refusal.Detail ?? refusal.Error.Message, refusal.RetryAfter);

    public static IResult Of(
        HttpContext http, ErrorCode error, string detail, TimeSpan? retryAfter = null, (string Name, object Value)? member = null)
    {
        ProductMeters.Refused(error, "http");
        Dictionary<string, object?> members = new() { ["code"] = error.Code, ["retryable"] = error.Retryable };
        if (member is var (name, value)) members[name] = value;
        if (retryAfter is { } wait)
        {
            var seconds = ErrorCode.SecondsOf(wait);
            members["retryAfter"] = seconds;
            http.Response.Headers.RetryAfter = seconds.ToString();
        }
        return TypedResults.Problem(
            statusCode: StatusOf(error), title: ReasonPhrases.GetReasonPhrase(StatusOf(error)), detail: detail, extensions: members);
    }

    internal static int StatusOf(ErrorCode error) => error.Code switch
    {
        "unauthorized" or "token-expired" or "token-revoked" or "token-replayed" or "unknown-user" => StatusCodes.Status401Unauthorized,
        "forbidden" or "banned" => StatusCodes.Status403Forbidden,
        "not-found" or "unknown-channel" => StatusCodes.Status404NotFound,
        "conflict" => StatusCodes.Status409Conflict,
        "gone" => StatusCodes.Status410Gone,
        "payload-too-large" => StatusCodes.Status413PayloadTooLarge,
        "rate-limited" => StatusCodes.Status429TooManyRequests,
        "too-many-connections" or "unavailable" or "server-closing" => StatusCodes.Status503ServiceUnavailable,
        _ => StatusCodes.Status400BadRequest,
    };
}
