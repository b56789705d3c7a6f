using System.Buffers;

namespace Carillon.SocketIO.WebSockets;

/// <summary>
/// The subprotocols that a client requests (the header <c>Sec-WebSocket-Protocol</c>, RFC 6455, section 4.1). As on the reference server,
/// the first of them is chosen.
/// </summary>
static class Subprotocol
{
    // A token of HTTP (RFC 9110, section 5.6.2).
    static readonly SearchValues<char> TokenCharacters = SearchValues.Create(
        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

    /// <summary>
    /// Chooses a subprotocol; <see langword="null"/> where none is requested. False: the header is not what RFC 6455 allows.
    /// </summary>
    public static bool TryChoose(string? requested, out string? chosen)
    {
        chosen = null;
        if (string.IsNullOrEmpty(requested)) return true;
        HashSet<string> seen = [];
        foreach (var part in requested.Split(','))
        {
            var name = part.Trim(' ', '\t');
            if (name.Length == 0 || name.AsSpan().ContainsAnyExcept(TokenCharacters) || !seen.Add(name)) return false;
            chosen ??= name;
        }
        return true;
    }
}
