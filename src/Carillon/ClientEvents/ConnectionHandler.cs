using System.Text.Json;
using Carillon.Access;
using Carillon.Api;
using Carillon.Audit;
using Carillon.Channels;
using Carillon.Hub;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Packets;
using Carillon.SocketIO.Sockets;
using Carillon.Storage;
using Microsoft.Extensions.Logging;

namespace Carillon.ClientEvents;

/// <summary>
/// Connects and disconnects clients: authentication, the channels that each user is subscribed to, the <c>session</c> event, and the
/// cleaning up.
/// </summary>
sealed partial class ConnectionHandler(
    ChannelHub hub, PermissionRefresher rights, Authenticator authenticator, AccessChanges accessChanges, AuditLog audit,
    SessionFields fields, StorageGate gate, AccessOptions options, TimeProvider clock, ILogger<ConnectionHandler> logger)
{
    public void On(SocketNamespace root)
    {
        root.Use(AdmitAsync);
        root.OnConnection(OnConnectedAsync);
        root.OnDisconnect(OnDisconnectedAsync);
    }

    async ValueTask<ConnectRefusal?> AdmitAsync(Socket socket)
    {
        if (!gate.IsOpen) return Refusal(ErrorCode.Unavailable);
        var address = socket.Handshake.Address;
        var generation = accessChanges.Generation;       // before anything is read: changes in between are re-evaluated
        var (caller, error, subject) = await IdentifyAsync(socket.Handshake);
        if (caller is null)
        {
            audit.NoteRefusal(subject, "connect", null, address, error!.Code);
            return Refusal(error);
        }
        socket.Account = caller.UserId;
        socket.Tag = new Subscriber(socket, caller, generation);
        return null;
    }

    async ValueTask<IdentityResult> IdentifyAsync(Handshake handshake)
    {
        try
        {
            var auth = new SocketValue(handshake.Auth);
            var token = auth["token"].Json.ValueKind == JsonValueKind.Undefined ? auth["ticket"] : auth["token"];
            var text = token.AsString() ?? Guard.BearerIn(handshake.Headers.FirstOrDefault(header => header.Key == "authorization").Value);
            // Only a client without any credentials is anonymous: one with wrong credentials is refused.
            var hasNone = text is null && token.Json.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null;
            var isSignedIn = options.UseHostAuthentication && handshake.User.Identity?.IsAuthenticated == true;
            if (hasNone && options.AllowAnonymous
                && !isSignedIn) return new IdentityResult(Caller.Anonymous(handshake.Address), null, null);
            return await authenticator.AuthenticateConnectionAsync(text, handshake.User, handshake.Address, CancellationToken.None);
        }
        catch (Exception ex)
        {
            LogUnidentified(ex);
            return new IdentityResult(null, ErrorCode.Unavailable, null);
        }
    }

    static ConnectRefusal Refusal(ErrorCode error) => new(error.Code, Answer.Told(error))
    {
        ClosesConnection = true,
        CountsAgainstAddress = !error.Retryable,
    };

    async Task OnConnectedAsync(Socket socket)
    {
        var subscriber = (Subscriber)socket.Tag!;
        try
        {
            using var turn = await subscriber.TakeTurnAsync();     // no request of the client overtakes what follows
            hub.Enter(subscriber);
            if (accessChanges.Generation == subscriber.Generation
                || await rights.IsStillKnownAsync(subscriber)) await OnConnectedAsync(subscriber);
        }
        catch (Exception ex)
        {
            // A client that is connected by half would receive nothing, and perhaps keep rights that were not re-evaluated: it must
            // reconnect.
            if (ex is ChannelsFullException) LogNoRoom(socket.Id);
            else LogConnectFailed(ex, socket.Id);
            audit.NoteRefusal(subscriber.Caller.Actor, "connect", socket.Id, subscriber.Caller.Address, ErrorCode.Unavailable.Code);
            socket.Emit("error", Answer.Told(ErrorCode.Unavailable, "connect"));
            socket.Connection.Close(DisconnectReason.TransportClose);
        }
        finally
        {
            // The connection may have ended before it was entered; nobody else removes it then.
            if (!socket.IsConnected) await hub.OnDisconnectedAsync(socket);
        }
    }

    async Task OnConnectedAsync(Subscriber subscriber)
    {
        var (socket, caller) = (subscriber.Socket, subscriber.Caller);
        if (caller.UserId is { } id) socket.Join("user:" + id);
        var channels = await hub.JoinOwnAsync(subscriber, CancellationToken.None);
        var session = new Dictionary<string, object?>
        {
            ["user"] = caller.IsKnown ? new { id = caller.UserId, name = caller.Name, roles = caller.Roles } : null,
            ["connectionId"] = socket.Id,
            ["channels"] = channels,
            ["serverTime"] = Iso.Of(clock.GetUtcNow()),
        };
        await fields.ReadAsync(caller, session, CancellationToken.None);
        socket.Emit("session", session);
        audit.NoteAct(caller.Actor, "connect", socket.Id, caller.Address);
    }

    Task OnDisconnectedAsync(Socket socket, string reason)
    {
        if (socket.Tag is Subscriber { Caller: var caller }) audit.NoteAct(
            caller.Actor, "disconnect", socket.Id, caller.Address, CodeOf(reason));
        return hub.OnDisconnectedAsync(socket);
    }

    // The audit log names a code where the client did not end the connection itself.
    static string? CodeOf(string reason) => reason switch
    {
        DisconnectReason.SlowConsumer => ErrorCode.SlowConsumer.Code,
        DisconnectReason.ServerShuttingDown => ErrorCode.ServerClosing.Code,
        _ => null,
    };

    [LoggerMessage(Level = LogLevel.Error, Message = "A client could not be authenticated and was refused as unavailable")]
    partial void LogUnidentified(Exception error);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Client {Socket} was disconnected: there is no memory for its channels")]
    partial void LogNoRoom(string socket);

    [LoggerMessage(Level = LogLevel.Error,
        Message = "Client {Socket} was admitted but could not be subscribed to its channels; its connection was closed")]
    partial void LogConnectFailed(Exception error, string socket);
}
