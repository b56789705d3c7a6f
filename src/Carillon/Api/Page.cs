using System.Buffers.Text;
using System.Text;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http;

namespace Carillon.Api;

/// <summary>A part of a list.</summary>
/// <param name="Items">The part.</param>
/// <param name="Next">The cursor of the next part; left out at the end.</param>
sealed record Page<T>(IReadOnlyList<T> Items, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Next);

/// <summary>How much of a list is asked for, and after which item.</summary>
readonly record struct PageRequest(int Limit, string? After)
{
    const int Default = 50, Most = 500;

    /// <summary>Reads <c>limit</c> and <c>cursor</c>; false where one is malformed.</summary>
    public static bool TryRead(string? limit, string? cursor, out PageRequest page)
    {
        page = default;
        var count = Default;
        if (limit is not null && !(int.TryParse(limit, out count) && count is > 0 and <= Most)) return false;
        if (cursor is not null && (cursor.Length > 500 || !Base64Url.IsValid(cursor))) return false;
        page = new PageRequest(count, cursor is null ? null : Encoding.UTF8.GetString(Base64Url.DecodeFromChars(cursor)));
        return true;
    }

    /// <summary>The parameters of a list, for the detail of a refusal.</summary>
    public static readonly string Rule = $"limit is a number from 1 to {Most}, cursor what an earlier answer gave as next.";

    public static IResult Refuse(HttpContext http) => Problem.Of(http, ErrorCode.InvalidPayload, Rule);

    /// <summary>Takes the part out of a list that is in the order of a key.</summary>
    public Page<T> Of<T>(IEnumerable<T> sorted, Func<T, string> key)
    {
        var (limit, after) = this;
        return Cut(sorted.SkipWhile(item =>
            after is not null && string.CompareOrdinal(key(item), after) <= 0).Take(limit + 1).ToArray(), key);
    }

    /// <summary>Makes the page of rows that were read with one more than the limit, to see whether there are more.</summary>
    public Page<T> Cut<T>(IReadOnlyList<T> read, Func<T, string> key) => read.Count <= Limit
        ? new Page<T>(read, null)
        : new Page<T>([.. read.Take(Limit)], Base64Url.EncodeToString(Encoding.UTF8.GetBytes(key(read[Limit - 1]))));
}
