namespace Carillon.Access;

/// <summary>What a token allows besides what areas grant: a pattern of names, where <c>*</c> stands for one part or, as the last, for the whole rest.</summary>
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
            var (p, c) = (pattern.IndexOf(':'), channel.IndexOf(':'));
            if (p < 0 && pattern is Any) return true;
            var (part, piece) = (p < 0 ? pattern : pattern[..p], c < 0 ? channel : channel[..c]);
            if (part is not Any && !part.SequenceEqual(piece)) return false;
            if (p < 0 || c < 0) return p < 0 && c < 0;
            (pattern, channel) = (pattern[(p + 1)..], channel[(c + 1)..]);
        }
    }
}
