using Carillon.Access;
using Carillon.SocketIO;

namespace Carillon.Live;

/// <summary>How a client comes in and goes: who it is, the <c>session</c> event, and what it leaves behind.</summary>
static class Connection
{
    public static void On(SocketNamespace root, LiveChannels live, CarillonOptions options, TimeProvider clock)
    {
        root.Use(_ => new(Admit(options)));
        root.OnConnection(socket => Welcome(socket, live, clock));
        root.OnDisconnect((socket, _) => live.FarewellAsync(socket));
        Subscribe.On(root, live, options);
    }

    static ConnectRefusal? Admit(CarillonOptions options)
    {
        if (options.AllowAnonymous) return null;
        var (code, message, retryable) = (ErrorCode.Unauthorized.Code, ErrorCode.Unauthorized.Message, ErrorCode.Unauthorized.Retryable);
        return new ConnectRefusal(code, new { code, message, retryable }) { ClosesConnection = true };
    }

    static void Welcome(Socket socket, LiveChannels live, TimeProvider clock)
    {
        live.Welcome(socket, Caller.Anonymous(socket.Handshake.Address));
        socket.Emit("session", new
        {
            user = (object?)null,
            connectionId = socket.Id,
            channels = Array.Empty<string>(),
            unread = new { notifications = 0, messages = 0 },
            serverTime = clock.GetUtcNow().UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'"),
        });
    }
}
