using Carillon.SocketIO.Diagnostics;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.WebSockets;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Carillon.SocketIO.Hosting;

/// <summary>Serves the requests under an Engine.IO server's path.</summary>
sealed partial class EngineEndpoint(EngineServer server)
{
    /// <summary>Serves one request under the server's path.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        var request = context.Request;
        if (HttpMethods.IsOptions(request.Method) && server.Options.AllowedOrigins.Count > 0)
        {
            Origins.AnswerPreflight(context);
            return;
        }

        var upgrade = HandshakeValidation.AsksForWebSocket(request);
        if (HandshakeValidation.QueryValue(request, "sid").Length == 0)
        {
            NoteProxy(request);
            if (HandshakeValidation.CheckSite(request, server.Options) is { } foreign) await RefuseForeignAsync(context, foreign, upgrade);
            else await EnterAsync(context, upgrade);
            return;
        }
        var refusal = Check(request, upgrade, out var session);
        session?.LeaveIdle();
        if (refusal is not null)
            await refusal.WriteAsync(context, upgrade);
        else if (upgrade)
            await session!.ServeUpgradeAsync(() => WebSocketUpgrade.AcceptAsync(context, server.Options));
        else if (HttpMethods.IsGet(request.Method))
            await session!.ServePollAsync(context);
        else if (HttpMethods.IsPost(request.Method))
            await session!.ServePostAsync(context);
        else
            await EngineRefusal.BadHandshakeMethod.WriteAsync(context, upgrade: false);
    }

    EngineRefusal? Check(HttpRequest request, bool upgrade, out EngineSocket? session) =>
        HandshakeValidation.Check(request, server.Options, upgrade, server.Find, out session)
        ?? (upgrade && !HandshakeValidation.IsValidWebSocketRequest(request) ? EngineRefusal.BadRequest : null);

    async Task EnterAsync(HttpContext context, bool upgrade)
    {
        var address = context.Connection.RemoteIpAddress;
        if (server.Enter(address, upgrade) is { } notNow)
        {
            await notNow.WriteAsync(context, upgrade);
            return;
        }

        var refusal = Check(context.Request, upgrade, out _);
        Handshake? handshake = null;
        WebSocketConnection? connection = null;
        var ready = false;
        try
        {
            if (refusal is null)
            {
                handshake = new Handshake(context, server.Clock.GetUtcNow());
                refusal = await server.AdmitAsync(handshake) ?? HandshakeValidation.CheckVersion(context.Request);
            }
            if (refusal is null)
            {
                server.Options.OnHandshakeResponse?.Invoke(context);
                // A session is made only then: the 101 is on its way, so nothing can leave before it.
                if (upgrade) connection = await WebSocketUpgrade.AcceptAsync(context, server.Options);
                ready = true;
            }
        }
        finally
        {
            if (!ready) server.Leave(address, refused: refusal is not null, upgrade);
        }
        if (refusal is not null)
            await refusal.WriteAsync(context, upgrade);
        else if (connection is not null)
            await server.ServeAsync(connection, handshake!, accept: []);
        else
            await OpenPollingAsync(context, handshake!);
    }

    Task RefuseForeignAsync(HttpContext context, EngineRefusal refusal, bool upgrade)
    {
        Meters.Refused.Add(1, Meters.Code("refused"));
        LogForeign(context.Request);
        return refusal.WriteAsync(context, upgrade);
    }

    async Task OpenPollingAsync(HttpContext context, Handshake handshake)
    {
        var (session, open) = server.OpenPolling(handshake);
        if (server.Options.CookieName is { } cookie)
            context.Response.Headers.Append("Set-Cookie", $"{cookie}={session.Id}; Path=/; HttpOnly; SameSite=Lax");
        // The open packet alone: whatever the application sent on connection waits for the next poll.
        await EngineServer.WriteAnswerAsync(context, server.Encode(context, open.Polling, mayCompress: true));
    }
}
