using System.Net;
using System.Security.Claims;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Extensions;
using Microsoft.AspNetCore.WebUtilities;

namespace Carillon.SocketIO.Engine;

/// <summary>
/// The data of the request that opened a connection. It is a copy: the request itself is not kept alive. What few ask
/// for (headers, query) is kept as it
/// came and taken apart when somebody asks.
/// </summary>
public sealed class Handshake
{
    static readonly ClaimsPrincipal Nobody = new(new ClaimsIdentity());

    readonly byte[] _headers;            // as they stand in a request of HTTP/1.1, in UTF-8

    internal Handshake(HttpContext context, DateTimeOffset at)
        : this(context.Request.GetEncodedPathAndQuery(), Encode(context.Request.Headers), context.Connection.RemoteIpAddress, at)
    {
        IsSecure = context.Request.IsHttps;
        User = context.User;
    }

    internal Handshake(string url, ReadOnlySpan<byte> headers, IPAddress? address, DateTimeOffset at) =>
        (Url, _headers, Address, At) = (url, headers.ToArray(), address, at);

    Handshake(Handshake connection, JsonElement auth)
    {
        (_headers, Url, IsSecure, Address, User, At) = (
            connection._headers, connection.Url, connection.IsSecure, connection.Address, connection.User, connection.At);
        Auth = auth;
    }

    /// <summary>The request's headers, with names in lower case.</summary>
    public IReadOnlyCollection<KeyValuePair<string, string>> Headers => Decode(_headers);

    /// <summary>The parameters of the query, decoded; <c>EIO</c> and <c>transport</c> are among them.</summary>
    public IReadOnlyCollection<KeyValuePair<string, string>> Query => ReadQuery(Url);

    /// <summary>The path and query as they were requested.</summary>
    public string Url { get; }

    // The approximate memory of the copy.
    internal int Bytes => _headers.Length + 2 * Url.Length;

    /// <summary>Whether the request came by HTTPS.</summary>
    public bool IsSecure { get; }

    /// <summary>Whether a web page sent the request (it has an Origin header).</summary>
    public bool IsCrossDomain => Header("origin") is not null;

    /// <summary>The address of the client, or of the nearest proxy unless forwarded headers are configured.</summary>
    public IPAddress? Address { get; }

    /// <summary>The user whom ASP.NET Core authenticated, if the application uses one of its schemes.</summary>
    public ClaimsPrincipal User { get; } = Nobody;

    /// <summary>When the connection was opened, UTC.</summary>
    public DateTimeOffset At { get; }

    /// <summary>
    /// The <c>auth</c> that the client passed when it joined this namespace: a JSON object, empty when it passed nothing. It is the
    /// client's
    /// word: check it.
    /// </summary>
    public JsonElement Auth { get; } = EmptyObject;

    /// <summary>The value of one header, or <see langword="null"/>.</summary>
    /// <param name="name">The header's name, in lower case.</param>
    public string? Header(string name) => Find(Headers, name);

    /// <summary>The value of one parameter of the query, or <see langword="null"/>.</summary>
    public string? QueryValue(string name) => Find(Query, name);

    internal static readonly JsonElement EmptyObject = JsonElement.Parse("{}");

    internal Handshake With(JsonElement auth) =>
        auth.ValueKind == JsonValueKind.Object && auth.GetPropertyCount() > 0 ? new(this, auth) : this;

    static byte[] Encode(IHeaderDictionary headers)
    {
        var lines = new StringBuilder();
        foreach (var (name, value) in headers) lines.Append(name).Append(':').Append(value.ToString()).Append("\r\n");
        return Encoding.UTF8.GetBytes(lines.ToString());
    }

    static OrderedDictionary<string, string> Decode(byte[] headers)
    {
        // A header that stands there several times is one with all its values, as HTTP reads it.
        OrderedDictionary<string, string> decoded = [];
        var text = Encoding.UTF8.GetString(headers).AsSpan();
        foreach (var range in text.Split("\r\n"))
        {
            var line = text[range];
            var colon = line.IndexOf(':');
            if (colon < 1) continue;
            var (name, value) = (line[..colon].ToString().ToLowerInvariant(), line[(colon + 1)..].Trim().ToString());
            decoded[name] = decoded.TryGetValue(name, out var before) ? $"{before},{value}" : value;
        }
        return decoded;
    }

    // Names count with their case, and of several values the last counts: the rule by which the connection itself was admitted.
    static OrderedDictionary<string, string> ReadQuery(string url)
    {
        OrderedDictionary<string, string> values = [];
        var mark = url.IndexOf('?');
        if (mark >= 0)
            foreach (var pair in new QueryStringEnumerable(url.AsMemory(mark))) values[pair.DecodeName().ToString()] = pair.DecodeValue()
                .ToString();
        return values;
    }

    static string? Find(IReadOnlyCollection<KeyValuePair<string, string>> pairs, string name)
    {
        foreach (var pair in pairs)
            if (pair.Key == name) return pair.Value;
        return null;
    }
}
