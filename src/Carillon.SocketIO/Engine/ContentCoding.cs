using System.Globalization;

namespace Carillon.SocketIO.Engine;

/// <summary>Chooses how an answer is compressed (RFC 9110, section 12.5.3).</summary>
static class ContentCoding
{
    /// <summary>
    /// The coding that the client prefers among those on offer; where it prefers none, the one it names first. <see langword="null"/>: it
    /// takes none.
    /// </summary>
    public static string? Choose(string accepted, params ReadOnlySpan<string> offered)
    {
        var (best, bestWeight, bestPlace) = (default(string), 0d, int.MaxValue);
        foreach (var coding in offered)
        {
            var (weight, place) = WeightOf(coding, accepted);
            if (weight > bestWeight
                || (weight == bestWeight && weight > 0 && place < bestPlace)) (best, bestWeight, bestPlace) = (coding, weight, place);
        }
        return best;
    }

    static (double Weight, int Place) WeightOf(string coding, ReadOnlySpan<char> accepted)
    {
        var any = (Weight: 0d, Place: int.MaxValue);
        var place = 0;
        foreach (var range in accepted.Split(','))
        {
            var item = accepted[range];
            var semicolon = item.IndexOf(';');
            var name = (semicolon < 0 ? item : item[..semicolon]).Trim();
            var weight = semicolon < 0 ? 1 : WeightIn(item[(semicolon + 1)..].Trim());
            if (name.Equals(coding, StringComparison.OrdinalIgnoreCase)) return (weight, place);
            if (name is "*") any = (weight, int.MaxValue);
            place++;
        }
        return any;
    }

    static double WeightIn(ReadOnlySpan<char> parameter) =>
        !parameter.StartsWith("q=", StringComparison.OrdinalIgnoreCase) ? 1
        : double.TryParse(parameter[2..], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var weight) ? weight : 0;
}
