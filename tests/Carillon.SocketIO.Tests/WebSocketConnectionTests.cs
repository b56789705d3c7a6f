using System.Text;
using System.Threading.Tasks.Sources;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Sockets;
using Carillon.SocketIO.WebSockets;
using Microsoft.Extensions.Options;

namespace Carillon.SocketIO.Tests;

public class WebSocketConnectionTests
{
    [Fact]
    public async Task A_write_that_blocks_delays_no_other_connection()
    {
        using var release = new ManualResetEventSlim();
        var (blocking, other) = (new Connection(release.Wait), new Connection(() => { }));
        var sending = Task.Factory.StartNew(() => blocking.Send(EnginePacket.ProbeAnswer.WebSocket), TaskCreationOptions.LongRunning);
        await RunningServer.UntilAsync(() => blocking.Begun, "it blocks");

        await Task.Factory.StartNew(() => other.Send(EnginePacket.ProbeAnswer.WebSocket), TaskCreationOptions.LongRunning).WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Contains("3probe", Encoding.ASCII.GetString([.. other.Written]), StringComparison.Ordinal);
        Assert.Empty(blocking.Written);
        release.Set();
        await sending;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_write_that_completes_between_two_looks_holds_nothing(bool together)
    {
        var server = new SocketServer(Options.Create(new SocketIOOptions()));
        var socket = new EngineSocket(server.Engine, new Handshake("/", [], null, default), webSocket: true, base64: false);
        var connection = new Undecided();
        _ = socket.ServeWebSocketAsync(connection, EnginePacket.PingFrame, _ => { });
        for (var round = 0; round < 3; round++)
        {
            connection.LooksUntilComplete = 1;
            SendBatch.Begin();
            for (var i = 0; together && i < 2; i++) socket.Send(new string('x', 1000));
            if (!together) socket.Send(new string('x', 1000));
            SendBatch.End();
            Assert.Equal(0, server.Engine.Buffers.Held);
        }
        Assert.Equal(4, connection.Writes);
    }

    /// <summary>Its writes become complete after somebody has looked so often whether they are.</summary>
    sealed class Undecided() : WebSocketConnection(maxPayload: 100, deflated: false), IValueTaskSource
    {
        public int LooksUntilComplete { get; set; }

        public int Writes { get; private set; }

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> bytes)
        {
            Writes++;
            return new(this, 0);
        }

        public override void Abort()
        {
        }

        protected override Task<CloseCode> ReadAsync() => new TaskCompletionSource<CloseCode>().Task;

        ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => LooksUntilComplete-- > 0 ? ValueTaskSourceStatus.Pending : ValueTaskSourceStatus.Succeeded;

        void IValueTaskSource.GetResult(short token)
        {
        }

        void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) => continuation(state);
    }

    sealed class Connection(Action write) : WebSocketConnection(maxPayload: 100, deflated: false)
    {
        public volatile bool Begun;

        public List<byte> Written { get; } = [];

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> bytes)
        {
            Begun = true;
            write();
            Written.AddRange(bytes.Span);
            return default;
        }

        public override void Abort()
        {
        }

        protected override Task<CloseCode> ReadAsync() => Task.FromResult(CloseCode.None);
    }
}
