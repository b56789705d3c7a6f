namespace Carillon.Server.Configuration;

/// <summary>Which of the known words somebody may have meant.</summary>
static class Nearest
{
    /// <summary>The word that takes the fewest changes, if these are few enough to be a slip.</summary>
    public static string? To(string written, IEnumerable<string> known)
    {
        var (word, changes) = known.Select(word => (Word: word, Changes: Changes(written.ToUpperInvariant(), word.ToUpperInvariant())))
            .OrderBy(found => found.Changes).FirstOrDefault();
        return word is not null && changes <= Math.Max(2, written.Length / 3) ? word : null;
    }

    // Levenshtein's distance, one row at a time.
    static int Changes(string from, string to)
    {
        var row = Enumerable.Range(0, to.Length + 1).ToArray();
        for (var i = 1; i <= from.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= to.Length; j++)
                (row[j], diagonal) = (Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (from[i - 1] == to[j - 1] ? 0 : 1)), row[j]);
        }
        return row[^1];
    }
}
