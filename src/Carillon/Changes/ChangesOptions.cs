namespace Carillon.Changes;

/// <summary>Which tables are live, and how long their changes can be recovered.</summary>
public sealed class ChangesOptions
{
    /// <summary>
    /// The live tables, by name. Every change of their rows is announced on the channel <c>changes:{table}</c>. A table that does not exist
    /// yet becomes live as soon as it does; a view or a virtual table is refused. None by default: writing costs a little more on a live
    /// table.
    /// </summary>
    public IList<string> Tables { get; set; } = [];

    /// <summary>How long a change is kept for those who were away. Seven days: a long weekend, or a holiday week, is recovered.</summary>
    public TimeSpan HistoryTtl { get; set; } = TimeSpan.FromDays(7);

    /// <summary>
    /// How many changes are kept per table. 100,000: about 30 MB at most, and more than any client would replay instead of reloading.
    /// </summary>
    public int HistorySize { get; set; } = 100_000;

    /// <summary>
    /// How often the file is asked whether somebody else wrote to it. 100 ms: a person perceives it as at once, and the question (a counter
    /// in shared memory) costs microseconds. Writes of this process do not wait for it.
    /// </summary>
    public TimeSpan PollInterval { get; set; } = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// How long changes are gathered before they are announced together. 2 ms: a transaction's and its neighbours' changes leave in one
    /// write per client, and nobody notices the wait.
    /// </summary>
    public TimeSpan BatchWindow { get; set; } = TimeSpan.FromMilliseconds(2);

    /// <summary>How often the log is pruned. A minute: each pruning is small, and the log never exceeds its bounds by much.</summary>
    public TimeSpan PruneEvery { get; set; } = TimeSpan.FromMinutes(1);

    /// <summary>Says what is wrong with these options, for a person; null where nothing is.</summary>
    internal string? Problem()
    {
        if (Tables.FirstOrDefault(string.IsNullOrWhiteSpace) is not null) return "A live table needs a name.";
        if (Tables.FirstOrDefault(
            IsReserved) is { } reserved) return $"The table \"{reserved}\" cannot be live: it belongs to SQLite or to Carillon itself.";
        if (Tables.GroupBy(table => table, StringComparer.OrdinalIgnoreCase).FirstOrDefault(group => group.Count() > 1) is { } twice)
            return $"The table \"{twice.Key}\" is named twice.";
        if (HistoryTtl <= TimeSpan.Zero
            || HistorySize < 1) return "Changes are kept for a while: HistoryTtl and HistorySize must be above zero.";
        if (PollInterval <= TimeSpan.Zero || PruneEvery <= TimeSpan.Zero) return "PollInterval and PruneEvery must be above zero.";
        return BatchWindow < TimeSpan.Zero ? "BatchWindow must not be negative." : null;
    }

    static bool IsReserved(string table) =>
        table.StartsWith("sqlite_", StringComparison.OrdinalIgnoreCase)
            || table.StartsWith("carillon_", StringComparison.OrdinalIgnoreCase);
}
