using System.Text.Json;
using System.Text.Unicode;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Carillon.Api;

/// <summary>
/// Checks a JSON body before a handler reads it: text that is not valid Unicode, such as a lone surrogate, can be read as JSON and not be
/// written as JSON, and would fail after it was
/// committed.
/// </summary>
static class JsonBody
{
    /// <summary>Whether the request may have a body.</summary>
    public static bool MayCome(HttpContext http) =>
        http.Request.ContentLength is not 0 && http.Features.Get<IHttpRequestBodyDetectionFeature>()?.CanHaveBody != false;

    /// <summary>Whether all texts of the request's body can be written again. Reads the body and sets it back to its start.</summary>
    public static async ValueTask<bool> IsWritableAsync(HttpContext http, CancellationToken ct)
    {
        http.Request.EnableBuffering(bufferThreshold: 1_000_000);     // in memory, as large as a body may be: not in a file
        using var copy = new MemoryStream((int)Math.Min(http.Request.ContentLength ?? 1024, 1_000_000));
        await http.Request.Body.CopyToAsync(copy, ct);
        http.Request.Body.Position = 0;
        return !http.Request.HasJsonContentType() || IsWritable(copy.GetBuffer().AsSpan(0, (int)copy.Length));
    }

    internal static bool IsWritable(ReadOnlySpan<byte> body)
    {
        if (!Utf8.IsValid(body)) return false;
        // Only an escaped surrogate can be a lone one, and few bodies have any.
        if (body.IndexOf("\\ud"u8) < 0 && body.IndexOf("\\uD"u8) < 0) return true;
        try
        {
            var reader = new Utf8JsonReader(body);
            while (reader.Read())
                if (reader.TokenType is JsonTokenType.String or JsonTokenType.PropertyName && reader.ValueIsEscaped) reader.GetString();
            return true;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
        catch (JsonException)
        {
            return true;    // no JSON at all: the handler's own reader says so
        }
    }
}
