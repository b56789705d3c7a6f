using System.Text;
using System.Text.Json;

namespace Magasin.Data;

/// <summary>
/// The till that writes: it names itself in the header X-Caisse, percent-encoded, and is published with every change it makes.
/// </summary>
internal static class Till
{
    const int Longest = 40;

    public static string? Of(HttpContext context) => Read(context.Request.Headers["X-Caisse"].ToString());

    public static string? Read(string header) => Named(Uri.UnescapeDataString(header));

    /// <summary>The name in what a live connection said of itself, which may be anything at all.</summary>
    public static string? Read(JsonElement auth)
    {
        try
        {
            return auth.ValueKind == JsonValueKind.Object && auth.TryGetProperty("nom", out var nom)
                && nom.ValueKind == JsonValueKind.String ? Named(nom.GetString()!) : null;
        }
        catch (InvalidOperationException)
        {
            return null;   // half a surrogate pair is well-formed JSON, and no text
        }
    }

    static string? Named(string said)
    {
        var name = new StringBuilder(Longest);
        foreach (var letter in said.EnumerateRunes().Where(letter => !Rune.IsControl(letter)))
        {
            if (name.Length + letter.Utf16SequenceLength > Longest) break;
            name.Append(letter);
        }

        return name.ToString().Trim() is { Length: > 0 } text ? text : null;
    }
}
