namespace Carillon.Server.Configuration;

/// <summary>Keys and values of earlier versions. This version still reads them, with a warning; the next one does not.</summary>
static class RenamedKeys
{
    // The old path and the new one, with # for a number.
    static readonly (string Old, string New)[] Paths =
    [
        ("Access:KeepAudit", "Access:AuditRetention"),
        ("Access:JwksPause", "Access:JwksMinInterval"),
        ("Access:ManagerRoles:#", "Access:AdminRoles:#"),
        ("Access:TicketsLastFor", "Access:TicketLifetime"),
        ("Areas:#:GatherFor", "Areas:#:BatchWindow"),
        ("Areas:#:JoinsOwner", "Areas:#:AutoSubscribe"),
        ("Areas:#:KeepCount", "Areas:#:HistorySize"),
        ("Areas:#:KeepFor", "Areas:#:HistoryTtl"),
        ("Areas:#:TellsPresence", "Areas:#:EmitsPresence"),
        ("Changes:GatherFor", "Changes:BatchWindow"),
        ("Changes:KeepCount", "Changes:HistorySize"),
        ("Changes:KeepFor", "Changes:HistoryTtl"),
        ("Fairness:HandshakeWithin", "Limits:HandshakeTimeout"),
        ("Presence:TellEvery", "Presence:PresenceInterval"),
        ("Shutdown:ReadinessFirst", "Shutdown:ReadinessDelay"),
        ("Shutdown:Within", "Shutdown:Timeout"),
    ];

    /// <summary>The path of today for a path as it is written; the same where it was not renamed.</summary>
    public static string Today(string path)
    {
        var parts = path.Split(':');
        foreach (var (old, today) in Paths)
            if (Matches(old.Split(':'), parts)) return Numbered(today, parts);
        return parts[0].Equals("Fairness", StringComparison.OrdinalIgnoreCase) ? "Limits" + path["Fairness".Length..] : path;
    }

    /// <summary>
    /// The value of today: <c>managers</c> became <c>admins</c> in grants, and <c>{me}</c> became <c>{user}</c> in patterns.
    /// </summary>
    public static string? Today(string path, string? value)
    {
        if (value is null) return null;
        if (path.EndsWith(":Pattern", StringComparison.OrdinalIgnoreCase)) return value.Replace("{me}", "{user}", StringComparison.Ordinal);
        var isGrant = path.StartsWith("Areas:", StringComparison.OrdinalIgnoreCase)
            || path.StartsWith("Votes:", StringComparison.OrdinalIgnoreCase);
        return !isGrant ? value : string.Join(',', value.Split(',').Select(word =>
            word.Trim() == "managers" ? word.Replace("managers", "admins", StringComparison.Ordinal) : word));
    }

    static bool Matches(string[] old, string[] written) =>
        old.Length == written.Length && old.Zip(written).All(part =>
            part.First == "#" || part.First.Equals(part.Second, StringComparison.OrdinalIgnoreCase));

    static string Numbered(string today, string[] written) =>
        string.Join(':', today.Split(':').Select((part, i) => part == "#" ? written[i] : part));
}
