using System.Text.Json;
using System.Text.Unicode;
using Microsoft.AspNetCore.Http;

namespace Carillon.Api;

/// <summary>
/// Looks at a JSON body before a handler does: a text that is no Unicode, such as half a surrogate pair, can be read as JSON and not be written as JSON, and would fail after it was
/// committed.
/// </summary>
static class JsonBody
{
    /// <summary>Whether all texts of the request's body can be written again. Reads the body and sets it back to its start.</summary>
    public static async ValueTask<bool> IsWritableAsync(HttpContext http)
    {
        if (http.Request.ContentLength is 0 || !http.Request.HasJsonContentType()) return true;
        http.Request.EnableBuffering(bufferThreshold: 1_000_000);     // in memory, as large as a body may be: not in a file
        using var copy = new MemoryStream((int)Math.Min(http.Request.ContentLength ?? 1024, 1_000_000));
        await http.Request.Body.CopyToAsync(copy, http.RequestAborted);
        http.Request.Body.Position = 0;
        return IsWritable(copy.GetBuffer().AsSpan(0, (int)copy.Length));
    }

    internal static bool IsWritable(ReadOnlySpan<byte> body)
    {
        if (!Utf8.IsValid(body)) return false;
        // Only an escaped surrogate can be half a pair, and few bodies have any.
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
