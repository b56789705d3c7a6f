using Carillon.Diagnostics;
using Microsoft.AspNetCore.Http;

namespace Carillon.Api;

/// <summary>What goes wrong over HTTP is told as a problem document (RFC 9457) with a stable code.</summary>
static class Problem
{
    public static IResult Of(HttpContext http, ErrorCode error, string detail, TimeSpan? retryAfter = null, (string Name, object Value)? member = null)
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
        return TypedResults.Problem(statusCode: StatusOf(error), title: TitleOf(error), detail: detail, extensions: members);
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

    static string TitleOf(ErrorCode error) => StatusOf(error) switch
    {
        StatusCodes.Status401Unauthorized => "Not known",
        StatusCodes.Status403Forbidden => "Not allowed",
        StatusCodes.Status404NotFound => "Not found",
        StatusCodes.Status409Conflict => "Contradiction",
        StatusCodes.Status410Gone => "Not there any more",
        StatusCodes.Status413PayloadTooLarge => "Too large",
        StatusCodes.Status429TooManyRequests => "Too many requests",
        StatusCodes.Status503ServiceUnavailable => "Not now",
        _ => "The request cannot be understood",
    };
}
