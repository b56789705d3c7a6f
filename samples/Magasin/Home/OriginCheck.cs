using System.Net;

namespace Magasin.Home;

/// <summary>
/// Where a request was made. Pages of other sites run in the browsers of this network too: they may neither write here, nor reach the
/// statements under a name of their own that they point at this machine (DNS rebinding).
/// </summary>
internal static class OriginCheck
{
    static readonly string Machine = Dns.GetHostName();

    public static void UseOriginCheck(this WebApplication app) => app.Use((context, next) =>
        context.Request.Path.StartsWithSegments("/api") && !HttpMethods.IsGet(context.Request.Method)
            && !HttpMethods.IsHead(context.Request.Method)
        && context.Request.Headers.Origin is { Count: > 0 } origin && !IsOwn(origin.ToString(), context.Request.Host)
            ? Problems.Forbidden("Pages of another site may not write here.").ExecuteAsync(context)
            : next(context));

    /// <summary>Whether a page of this origin was served under the name that the request was sent to.</summary>
    internal static bool IsOwn(string origin, HostString host) =>
        Uri.TryCreate(origin, UriKind.Absolute, out var page) && page.Scheme is "http" or "https"
        && string.Equals(page.Host, host.Host, StringComparison.OrdinalIgnoreCase)
            && page.Port == (host.Port ?? (page.IsDefaultPort ? page.Port : -1));

    /// <summary>Whether a name is one that no stranger can point here: an address, localhost, or this machine's own.</summary>
    internal static bool NamesThisMachine(HostString host, string? machine = null)
    {
        var name = host.Host.TrimEnd('.');
        return IPAddress.TryParse(name.Trim('[', ']'), out _) || Same("localhost") || Same(machine ?? Machine)
            || Same($"{machine ?? Machine}.local");

        bool Same(string own) => string.Equals(name, own, StringComparison.OrdinalIgnoreCase);
    }
}
