using System.Net;
using System.Security.Claims;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Extensions;
using Microsoft.AspNetCore.WebUtilities;

namespace Carillon.SocketIO;

/// <summary>What is known of a client from the request that opened its connection. It is a copy: the request itself is not kept alive.</summary>
public sealed class Handshake
{
    static readonly ClaimsPrincipal Nobody = new(new ClaimsIdentity());

    readonly KeyValuePair<string, string>[] _headers;
    readonly KeyValuePair<string, string>[] _query;

    internal Handshake(HttpContext context, DateTimeOffset at)
    {
        var request = context.Request;
        _headers = [.. request.Headers.Select(h => KeyValuePair.Create(h.Key.ToLowerInvariant(), h.Value.ToString()))];
        _query = ReadQuery(request.QueryString.Value);
        Url = request.GetEncodedPathAndQuery();
        IsSecure = request.IsHttps;
        Address = context.Connection.RemoteIpAddress;
        User = context.User;
        At = at;
    }

    internal Handshake(KeyValuePair<string, string>[] headers, string url, string query, IPAddress? address, DateTimeOffset at)
    {
        (_headers, _query, Url, Address, User, At) = (headers, ReadQuery(query), url, address, Nobody, at);
    }

    Handshake(Handshake connection, JsonElement auth)
    {
        (_headers, _query, Url, IsSecure, Address, User, At) =
            (connection._headers, connection._query, connection.Url, connection.IsSecure, connection.Address, connection.User, connection.At);
        Auth = auth;
    }

    /// <summary>The request's headers, with names in lower case.</summary>
    public IReadOnlyCollection<KeyValuePair<string, string>> Headers => _headers;

    /// <summary>The parameters of the query, decoded; <c>EIO</c> and <c>transport</c> are among them.</summary>
    public IReadOnlyCollection<KeyValuePair<string, string>> Query => _query;

    /// <summary>The path and query as they were requested.</summary>
    public string Url { get; }

    /// <summary>Whether the request came by HTTPS.</summary>
    public bool IsSecure { get; }

    /// <summary>Whether a web page sent the request (it has an Origin header).</summary>
    public bool IsCrossDomain => Header("origin") is not null;

    /// <summary>The address of the client, or of the nearest proxy unless forwarded headers are configured.</summary>
    public IPAddress? Address { get; }

    /// <summary>Whom ASP.NET Core authenticated, where the application uses one of its schemes.</summary>
    public ClaimsPrincipal User { get; }

    /// <summary>When the connection was opened, UTC.</summary>
    public DateTimeOffset At { get; }

    /// <summary>
    /// What the client passed as <c>auth</c> when it joined this namespace: a JSON object, empty when it passed nothing. It is the client's word: check it.
    /// </summary>
    public JsonElement Auth { get; } = EmptyObject;

    /// <summary>The value of one header, or <see langword="null"/>.</summary>
    /// <param name="name">The header's name, in lower case.</param>
    public string? Header(string name) => Find(_headers, name);

    /// <summary>The value of one parameter of the query, or <see langword="null"/>.</summary>
    public string? QueryValue(string name) => Find(_query, name);

    internal static readonly JsonElement EmptyObject = JsonElement.Parse("{}");

    internal Handshake With(JsonElement auth) => new(this, auth);

    // Names count with their case, and of several values the last counts: the rule by which the connection itself was admitted.
    static KeyValuePair<string, string>[] ReadQuery(string? query)
    {
        OrderedDictionary<string, string> values = [];
        foreach (var pair in new QueryStringEnumerable(query)) values[pair.DecodeName().ToString()] = pair.DecodeValue().ToString();
        return [.. values];
    }

    static string? Find(KeyValuePair<string, string>[] pairs, string name)
    {
        foreach (var pair in pairs)
            if (pair.Key == name) return pair.Value;
        return null;
    }
}
