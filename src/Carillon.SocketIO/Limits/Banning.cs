namespace Carillon.SocketIO.Limits;

/// <summary>How long bans last, and how they are forgotten.</summary>
static class Banning
{
    /// <summary>The length of a ban: it grows with each that was not forgotten yet, up to the longest.</summary>
    public static TimeSpan LengthOf(int strikes, LimitOptions options)
    {
        var length = options.FirstBan.TotalSeconds * Math.Pow(options.BanGrowth, Math.Max(strikes, 1) - 1);
        return length < options.LongestBan.TotalSeconds ? TimeSpan.FromSeconds(length) : options.LongestBan;
    }

    /// <summary>
    /// How many earlier bans still count: one is forgotten each time that passes without another, from the end of the last.
    /// </summary>
    public static int StillCounting(int strikes, TimeSpan sinceEnd, LimitOptions options) =>
        sinceEnd <= TimeSpan.Zero ? strikes : (int)Math.Max(0, strikes - Math.Floor(sinceEnd / options.ForgetBanAfter));
}
