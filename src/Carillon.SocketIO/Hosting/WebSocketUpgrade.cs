using Carillon.SocketIO.Engine;
using Carillon.SocketIO.WebSockets;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Carillon.SocketIO.Hosting;

/// <summary>Answers requests for a WebSocket through ASP.NET Core.</summary>
static class WebSocketUpgrade
{
    /// <summary>Accepts a request that was checked (RFC 6455, section 4.2.2; over HTTP/2 RFC 8441, section 5).</summary>
    public static async Task<WebSocketConnection> AcceptAsync(HttpContext context, EngineOptions options)
    {
        var headers = context.Response.Headers;
        var deflated = options.PerMessageDeflate && MessageDeflate.CanAgree(context.Request.Headers.SecWebSocketExtensions.ToString());
        if (deflated) headers.SecWebSocketExtensions = MessageDeflate.Agreement;
        if (Subprotocol.TryChoose(context.Request.Headers.SecWebSocketProtocol, out var chosen)
            && chosen is not null) headers.SecWebSocketProtocol = chosen;
        if (HandshakeValidation.IsExtendedConnect(context.Request))
        {
            var connect = context.Features.GetRequiredFeature<IHttpExtendedConnectFeature>();
            return new StreamConnection(await connect.AcceptAsync(), context.Abort, options.MaxPayload, deflated);
        }
        headers.Connection = "Upgrade";
        headers.Upgrade = "websocket";
        headers.SecWebSocketAccept = WebSocketConnection.AcceptKey(context.Request.Headers.SecWebSocketKey.ToString());
        var upgrade = context.Features.GetRequiredFeature<IHttpUpgradeFeature>();
        return new StreamConnection(await upgrade.UpgradeAsync(), context.Abort, options.MaxPayload, deflated);
    }
}
