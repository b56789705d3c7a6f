using Carillon.SocketIO.Limits;
using Carillon.SocketIO.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.HttpOverrides;
using Microsoft.Extensions.Options;

namespace Carillon.SocketIO.Hosting;

/// <summary>
/// Where proxies are trusted, each request has the address, the scheme and the host that they forward, for the whole application and before
/// anything else sees it. Without them nothing is changed: what a client writes about itself decides nothing.
/// </summary>
sealed class ForwardedHeadersFilter(IOptions<SocketIOOptions> options) : IStartupFilter
{
    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        if (Settings(options.Value.Engine.Limits) is { } settings) app.UseForwardedHeaders(settings);
        next(app);
    };

    internal static ForwardedHeadersOptions? Settings(LimitOptions fairness)
    {
        var proxies = new NetworkList(fairness.TrustedProxies, nameof(fairness.TrustedProxies));
        if (proxies.IsEmpty) return null;
        var settings = new ForwardedHeadersOptions
        {
            ForwardedHeaders = ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto | ForwardedHeaders.XForwardedHost,
            ForwardLimit = null,      // proxies behind proxies: from the nearest on, as far as they are trusted
        };
        // The framework trusts loopback by itself.
        settings.KnownProxies.Clear();
        settings.KnownIPNetworks.Clear();
        foreach (var network in proxies.All) settings.KnownIPNetworks.Add(network);
        return settings;
    }
}
