namespace Magasin.Base;

/// <summary>The till that writes: it names itself in the header X-Caisse, percent-encoded, and is told with every change it makes.</summary>
internal static class Caisse
{
    const int Longest = 40;

    public static string? Of(HttpContext context) => Read(context.Request.Headers["X-Caisse"].ToString());

    public static string? Read(string header)
    {
        var name = new string([.. Uri.UnescapeDataString(header).Where(letter => !char.IsControl(letter)).Take(Longest)]).Trim();
        return name.Length == 0 ? null : name;
    }
}
