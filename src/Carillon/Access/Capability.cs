namespace Carillon.Access;

/// <summary>
/// Permissions in a token, besides the grants of areas: a pattern of names, where <c>*</c> stands for one part or, as the last, for the
/// whole
/// rest.
/// </summary>
static class Capability
{
    const string Any = "*";

    public static bool Allows(IReadOnlyDictionary<string, IReadOnlyList<string>> capabilities, string channel, string action)
    {
        if (capabilities.Count == 0) return false;
        foreach (var (pattern, actions) in capabilities)
            if ((actions.Contains(action) || actions.Contains(Any)) && Matches(pattern, channel)) return true;
        return false;
    }

    internal static bool Matches(ReadOnlySpan<char> pattern, ReadOnlySpan<char> channel)
    {
        while (true)
        {
            if (pattern is Any) return true;
            var part = Cut(ref pattern, out var patternEnds);
            var piece = Cut(ref channel, out var channelEnds);
            if (part is not Any && !part.SequenceEqual(piece)) return false;
            if (patternEnds || channelEnds) return patternEnds && channelEnds;
        }
    }

    // The first part, taken off.
    static ReadOnlySpan<char> Cut(ref ReadOnlySpan<char> name, out bool ends)
    {
        var colon = name.IndexOf(':');
        ends = colon < 0;
        var part = ends ? name : name[..colon];
        name = ends ? default : name[(colon + 1)..];
        return part;
    }
}
