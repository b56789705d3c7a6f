using System.Buffers.Text;
using System.Globalization;
using System.Text;
using System.Text.Json.Serialization;

namespace Magasin.Data;

/// <summary>One page of a list, and the cursor of the next where there is more.</summary>
internal sealed record PageOf<T>(
    IReadOnlyList<T> Items, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Next);

/// <summary>How much of a list is wanted, and after which row.</summary>
internal readonly record struct Page(int Limit, long? After)
{
    public const int Most = 500;

    /// <summary>Reads <c>limit</c> (50, at most 500) and <c>cursor</c>; false with the reason where they make no sense.</summary>
    public static bool TryRead(string? limit, string? cursor, out Page page, out string problem)
    {
        (page, problem) = (new Page(50, null), "");
        if (limit is not null)
        {
            if (!int.TryParse(limit, NumberStyles.None, CultureInfo.InvariantCulture, out var wanted) || wanted < 1 || wanted > Most)
            {
                problem = $"limit must be a number from 1 to {Most}.";
                return false;
            }

            page = page with { Limit = wanted };
        }

        if (cursor is null) return true;
        if (!TryDecode(cursor, out var after))
        {
            problem = "cursor is not one that a list has answered.";
            return false;
        }

        page = page with { After = after };
        return true;
    }

    /// <summary>Makes the answer from one row more than was asked for.</summary>
    public PageOf<T> Of<T>(IReadOnlyList<T> rows, Func<T, Id> id) =>
        rows.Count > Limit ? new([.. rows.Take(Limit)], Encode(id(rows[Limit - 1]).Value)) : new(rows, null);

    static string Encode(long id) => Base64Url.EncodeToString(Encoding.ASCII.GetBytes($"id:{id}"));

    static bool TryDecode(string cursor, out long id)
    {
        id = 0;
        Span<byte> bytes = stackalloc byte[64];
        return cursor.Length < 64 && Base64Url.IsValid(cursor) && Base64Url.TryDecodeFromChars(cursor, bytes, out var length)
            && bytes[..length].StartsWith("id:"u8)
            && long.TryParse(bytes[3..length], NumberStyles.None, CultureInfo.InvariantCulture, out id);
    }
}
