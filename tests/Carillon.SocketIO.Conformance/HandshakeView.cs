using Carillon.SocketIO.Engine;

namespace Carillon.SocketIO.Conformance;

/// <summary>The handshake in the form in which JavaScript servers show it.</summary>
static class HandshakeView
{
    public static object Of(Handshake handshake) => new
    {
        headers = handshake.Headers.ToDictionary(),
        time = handshake.At.ToString("R"),
        address = handshake.Address?.ToString(),
        xdomain = handshake.IsCrossDomain,
        secure = handshake.IsSecure,
        issued = handshake.At.ToUnixTimeMilliseconds(),
        url = handshake.Url,
        query = handshake.Query.ToDictionary(),
        auth = handshake.Auth,
    };
}
