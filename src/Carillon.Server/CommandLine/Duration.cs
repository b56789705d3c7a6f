using System.Globalization;

namespace Carillon.Server.CommandLine;

/// <summary>Times as people write them on a command line: 30s, 15m, 1h, 7d.</summary>
static class Duration
{
    /// <summary>The time that a text says; null where it says none.</summary>
    public static TimeSpan? Read(string text)
    {
        TimeSpan? unit = text is [.., var last] ? last switch
        {
            's' => TimeSpan.FromSeconds(1),
            'm' => TimeSpan.FromMinutes(1),
            'h' => TimeSpan.FromHours(1),
            'd' => TimeSpan.FromDays(1),
            _ => null,
        } : null;
        return unit is { } one && int.TryParse(text.AsSpan(..^1), NumberStyles.None, CultureInfo.InvariantCulture, out var count)
            && count is >= 1 and <= 100_000 ? one * count : null;
    }
}
