using Carillon.SocketIO.Engine;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace Carillon.SocketIO.Hosting;

/// <summary>
/// Which web pages may connect. One rule for both transports: the CORS headers of polling say what the Origin check of WebSocket enforces.
/// </summary>
static class Origins
{
    /// <summary>Whether a page may connect.</summary>
    /// <param name="origin">The Origin header; empty where there is none, because programs that are no browsers send none.</param>
    /// <param name="host">The Host header.</param>
    /// <param name="options">The settings.</param>
    public static bool MayConnect(string origin, HostString host, EngineOptions options) =>
        origin.Length == 0 || IsSameOrigin(origin, host) || IsAllowed(origin, options);

    /// <summary>
    /// Whether a browser sent a request for another site, whose pages may not connect. Where there is an origin, it decides. Images and
    /// links have none; browsers name the site of their page (Fetch Metadata), but not over plain HTTP.
    /// </summary>
    public static bool IsForeign(string origin, string fetchSite, HostString host, EngineOptions options) =>
        origin.Length > 0 ? !MayConnect(origin, host, options) : fetchSite.Equals("cross-site", StringComparison.OrdinalIgnoreCase);

    /// <summary>Adds the CORS headers to an answer; nothing at all where no other origin is configured.</summary>
    public static void AddHeaders(HttpContext context, EngineOptions options)
    {
        if (options.AllowedOrigins.Count == 0) return;
        var origin = context.Request.Headers.Origin;
        var headers = context.Response.Headers;
        if (options.AllowedOrigins.Contains("*") && !options.AllowCredentials)
        {
            headers.AccessControlAllowOrigin = "*";
        }
        else
        {
            headers.Append(HeaderNames.Vary, HeaderNames.Origin);
            if (!StringValues.IsNullOrEmpty(origin) && CanBeSentBack(origin.ToString())
                && (IsAllowed(origin.ToString(), options) || IsSameOrigin(origin.ToString(), context.Request.Host)))
                headers.AccessControlAllowOrigin = origin;
        }
        if (options.AllowCredentials) headers.AccessControlAllowCredentials = "true";
    }

    /// <summary>Answers a preflight request.</summary>
    public static void AnswerPreflight(HttpContext context)
    {
        var headers = context.Response.Headers;
        headers.AccessControlAllowMethods = "GET,HEAD,PUT,PATCH,POST,DELETE";
        headers.Append(HeaderNames.Vary, HeaderNames.AccessControlRequestHeaders);
        var asked = context.Request.Headers.AccessControlRequestHeaders;
        if (!StringValues.IsNullOrEmpty(asked) && CanBeSentBack(asked.ToString())) headers.AccessControlAllowHeaders = asked;
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    // Browsers send nothing else, and Kestrel fails an answer whose header holds anything else.
    internal static bool CanBeSentBack(string value) => !value.AsSpan().ContainsAnyExceptInRange(' ', '~');

    internal static bool IsAllowed(string origin, EngineOptions options)
    {
        foreach (var allowed in options.AllowedOrigins)
            if (allowed == "*" || origin.AsSpan().Equals(WithoutPath(allowed), StringComparison.OrdinalIgnoreCase)) return true;
        return false;
    }

    /// <summary>
    /// An origin as browsers send it. People copy addresses, with a slash at the end; the slashes of <c>file://</c> are its own.
    /// </summary>
    internal static ReadOnlySpan<char> WithoutPath(ReadOnlySpan<char> origin) =>
        origin.EndsWith("/", StringComparison.Ordinal) && !origin.EndsWith("://", StringComparison.Ordinal) ? origin[..^1] : origin;

    // Hosts are compared, not schemes: behind a proxy that ends TLS the page is https and the request is http. Pages of other schemes come
    // from no host: capacitor://localhost is an application's.
    internal static bool IsSameOrigin(string origin, HostString host) =>
        Uri.TryCreate(origin, UriKind.Absolute, out var page) && (page.Scheme == Uri.UriSchemeHttp || page.Scheme == Uri.UriSchemeHttps)
        && page.Host.Equals(host.Host.Trim('[', ']'), StringComparison.OrdinalIgnoreCase)
            | page.Host.Equals(host.Host, StringComparison.OrdinalIgnoreCase)
        && (host.Port is { } port ? page.Port == port : page.IsDefaultPort);
}
