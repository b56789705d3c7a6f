using System.Text;

namespace Carillon.SocketIO.Tests;

public class WebSocketConnectionTests
{
    [Fact]
    public async Task A_write_that_blocks_delays_no_other_connection()
    {
        using var release = new ManualResetEventSlim();
        var (blocking, other) = (new Connection(release.Wait), new Connection(() => { }));
        var sending = Task.Factory.StartNew(() => blocking.Send(EnginePacket.ProbeAnswer), TaskCreationOptions.LongRunning);
        await RunningServer.UntilAsync(() => blocking.Begun, "it blocks");

        await Task.Factory.StartNew(() => other.Send(EnginePacket.ProbeAnswer), TaskCreationOptions.LongRunning).WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Contains("3probe", Encoding.ASCII.GetString([.. other.Written]), StringComparison.Ordinal);
        Assert.Empty(blocking.Written);
        release.Set();
        await sending;
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
