namespace Carillon;

/// <summary>Times as they are written everywhere: ISO 8601, UTC, milliseconds, <c>Z</c>.</summary>
static class Iso
{
    public static string Of(DateTimeOffset at) =>
        at.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", System.Globalization.CultureInfo.InvariantCulture);
}
