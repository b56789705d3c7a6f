using System.Diagnostics.Metrics;
using System.Text;

namespace Carillon.Server.Metrics;

/// <summary>How Prometheus names things: underscores, the unit in full, <c>_total</c> behind what only grows.</summary>
static class PrometheusName
{
    public static string Of(Instrument instrument) => Of(instrument.Name, instrument.Unit, Family.KindOf(instrument) == Kind.Counter);

    internal static string Of(string name, string? unit, bool isCounter)
    {
        var text = Clean(name);
        if (InFull(unit) is { } full && !text.Split('_').Contains(full)) text = $"{text}_{full}";
        return isCounter && !text.EndsWith("_total", StringComparison.Ordinal) ? $"{text}_total" : text;
    }

    /// <summary>The name of a label: letters, digits and underscores.</summary>
    public static string Clean(string name)
    {
        var text = new StringBuilder(name.Length + 1);
        if (name.Length == 0 || char.IsAsciiDigit(name[0])) text.Append('_');
        foreach (var character in name) text.Append(char.IsAsciiLetterOrDigit(character) ? character : '_');
        return text.ToString();
    }

    // Units are written as in UCUM; those in braces count things, which have no unit.
    static string? InFull(string? unit) => unit switch
    {
        "s" => "seconds",
        "ms" => "milliseconds",
        "By" => "bytes",
        null or "" or "1" or ['{', ..] => null,
        _ => Clean(unit),
    };
}
