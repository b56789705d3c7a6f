using System.Net;
using Carillon.SocketIO.Limits;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.HttpOverrides;
using Microsoft.Extensions.Logging;

namespace Carillon.SocketIO.Hosting;

sealed partial class EngineEndpoint
{
    const int MostProxiesNamed = 32;      // anybody can write the headers of a proxy, and must not fill the log
    const int LongestLogged = 200;

    readonly ILogger _logger = server.Logger;

    readonly HashSet<AddressKey> _proxiesNamed = [];
    readonly Lock _foreignGate = new();
    readonly Rate _foreignLines = new(perSecond: 0.1, burst: 10, server.Clock);
    TokenBucket _foreignLine;
    long _foreignUnlogged;

    // An operator who forgot the proxy would see all the world as one address, and the proxy's own name as the host.
    void NoteProxy(HttpRequest request)
    {
        if (!Forwards(request.Headers) || request.HttpContext.Connection.RemoteIpAddress is not { } address
            || server.IsTrustedProxy(address)) return;
        server.Addresses.IsProxy(address);
        var key = AddressKey.Of(address);
        lock (_proxiesNamed)
            if (_proxiesNamed.Count >= MostProxiesNamed || !_proxiesNamed.Add(key)) return;
        if (IPAddress.IsLoopback(address)) LogLocalProxy(key);
        else LogProxy(key);
    }

    // The framework renames the headers of a trusted proxy to X-Original-…: values that are left then come from its client.
    static bool Forwards(IHeaderDictionary headers) =>
        (headers.ContainsKey(ForwardedHeadersDefaults.XForwardedForHeaderName)
            || headers.ContainsKey(ForwardedHeadersDefaults.XForwardedHostHeaderName)
            || headers.ContainsKey(ForwardedHeadersDefaults.XForwardedProtoHeaderName) || headers.ContainsKey("Forwarded"))
        && !headers.ContainsKey(ForwardedHeadersDefaults.XOriginalForHeaderName)
        && !headers.ContainsKey(ForwardedHeadersDefaults.XOriginalHostHeaderName)
        && !headers.ContainsKey(ForwardedHeadersDefaults.XOriginalProtoHeaderName);

    // Ten lines at once, and one every ten seconds: a page that keeps trying must not fill the log.
    void LogForeign(HttpRequest request)
    {
        var origin = request.Headers.Origin.ToString();
        if (origin.Length == 0) return;      // an image or a link: there is nothing to allow
        long unlogged;
        lock (_foreignGate)
        {
            if (!_foreignLine.TryTake(_foreignLines, 1, server.Clock.GetTimestamp(), out _))
            {
                _foreignUnlogged++;
                return;
            }
            (unlogged, _foreignUnlogged) = (_foreignUnlogged, 0);
        }
        LogForeignOrigin(Shown(origin), Shown(request.Host.Value ?? ""), unlogged);
    }

    static string Shown(string value) =>
        !Origins.CanBeSentBack(value) ? "(unprintable)" : value.Length > LongestLogged ? value[..LongestLogged] + "…" : value;

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "Refused a page of the origin {Origin}: it is neither the host of the request, {Host}, nor in AllowedOrigins. "
            + "If the page is yours, add its origin to the setting AllowedOrigins. Behind a proxy, pass the browser's Host on, "
            + "or send X-Forwarded-Host and add the proxy to the setting Limits.TrustedProxies. {Unlogged} more refusals were not logged")]
    partial void LogForeignOrigin(string origin, string host, long unlogged);

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "Address {Address} sends the headers of a proxy, which are ignored: it is not in TrustedProxies. "
            + "If it is your proxy, add it to the setting Limits.TrustedProxies; until then all its clients count as one address")]
    partial void LogProxy(AddressKey address);

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "Address {Address} of this machine sends the headers of a proxy, which are ignored: it is not in TrustedProxies. "
            + "If it is your proxy, add it to the setting Limits.TrustedProxies; until then all its clients count as one address, which is "
                + "limited and never banned")]
    partial void LogLocalProxy(AddressKey address);
}
