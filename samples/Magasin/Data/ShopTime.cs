using System.Globalization;

namespace Magasin.Data;

/// <summary>Moments are ISO-8601 in UTC, in the database as in JSON; a day is the shop's own calendar day.</summary>
internal static class ShopTime
{
    public const string Format = "yyyy-MM-dd'T'HH:mm:ss.fff'Z'";

    public static string Iso(DateTimeOffset moment) => moment.UtcDateTime.ToString(Format, CultureInfo.InvariantCulture);

    public static string Now(TimeProvider clock) => Iso(clock.GetUtcNow());

    public static DateOnly Today(TimeProvider clock) => DateOnly.FromDateTime(clock.GetLocalNow().DateTime);

    /// <summary>From when to when a day of the shop lasts.</summary>
    public static (string From, string To) BoundsOf(DateOnly day, TimeZoneInfo zone) => (Minuit(day, zone), Minuit(day.AddDays(1), zone));

    /// <summary>A day whose bounds are moments in every time zone: not in the first year nor in the last one that there is.</summary>
    public static bool TryDay(string text, out DateOnly day) =>
        DateOnly.TryParseExact(text, "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out day)
            && day.Year is > 1 and < 9999;

    static string Minuit(DateOnly day, TimeZoneInfo zone)
    {
        var midnight = day.ToDateTime(TimeOnly.MinValue);
        while (zone.IsInvalidTime(midnight)) midnight = midnight.AddMinutes(30);   // where summer time begins at midnight
        return Iso(new DateTimeOffset(midnight, zone.GetUtcOffset(midnight)));
    }
}
