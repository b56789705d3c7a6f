namespace Carillon.Hub;

/// <summary>
/// The name of a channel: parts joined by colons, such as <c>changes:ventes</c>. At most 200 characters, no part empty, no control
/// characters and no halves of surrogate pairs, so that it can be logged, stored and compared anywhere.
/// </summary>
public readonly record struct ChannelName
{
    /// <summary>How many characters a name may have.</summary>
    public const int MaxLength = 200;

    ChannelName(string value) => Value = value;

    /// <summary>The whole name.</summary>
    public string Value { get; }

    /// <summary>The name of a text; false where the text cannot be one.</summary>
    public static bool TryParse(string? text, out ChannelName name)
    {
        name = default;
        if (text is not { Length: > 0 and <= MaxLength } || text[0] == ':' || text[^1] == ':'
            || text.Contains("::", StringComparison.Ordinal)) return false;
        for (var i = 0; i < text.Length; i++)
        {
            if (char.IsControl(text[i])) return false;
            if (!char.IsSurrogate(text[i])) continue;
            if (!char.IsHighSurrogate(text[i]) || ++i == text.Length || !char.IsLowSurrogate(text[i])) return false;
        }
        name = new ChannelName(text);
        return true;
    }

    internal static ChannelName Parse(string text) =>
        TryParse(text, out var name) ? name : throw new ArgumentException($"\"{text}\" is no name of a channel.", nameof(text));

    /// <inheritdoc/>
    public override string ToString() => Value;
}
