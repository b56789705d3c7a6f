using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Sockets;
using Microsoft.Extensions.Options;

namespace Carillon.SocketIO.Tests;

/// <summary>When the watch sends for a thread, and when it leaves a batch to grow.</summary>
public class SendBatchTests
{
    readonly SocketServer _server = new(Options.Create(new SocketIOOptions()));
    readonly SendBatch _batch = new();

    [Fact]
    public void A_batch_that_goes_on_is_left_to_grow()
    {
        for (var message = 0; message < 100; message++)
        {
            _batch.Start();
            _batch.Add(Connection());
            Assert.Equal(0, _batch.ReleaseIfStuck());
        }
        Assert.True(_batch.IsHolding);
    }

    [Fact]
    public void A_batch_that_is_stuck_is_sent_once()
    {
        _batch.Start();
        for (var i = 0; i < 20; i++) _batch.Add(Connection());
        Assert.Equal(0, _batch.ReleaseIfStuck());      // the first look only notes where it is
        Assert.Equal(20, _batch.ReleaseIfStuck());
        Assert.Equal(0, _batch.ReleaseIfStuck());

        for (var i = 0; i < 3; i++) _batch.Add(Connection());      // its handler sends to others before it goes on
        Assert.Equal(3, _batch.ReleaseIfStuck());
    }

    [Fact]
    public void A_thread_that_has_gone_on_and_is_stuck_again_is_sent_for_again()
    {
        for (var round = 0; round < 3; round++)
        {
            _batch.Start();
            _batch.Add(Connection());
            Assert.Equal(0, _batch.ReleaseIfStuck());
            Assert.Equal(1, _batch.ReleaseIfStuck());
            _batch.Release();
            Assert.False(_batch.IsHolding);
        }
    }

    [Fact]
    public void Sending_is_progress()
    {
        _batch.Start();
        _batch.Add(Connection());
        _batch.ReleaseIfStuck();
        _batch.Release();
        _batch.Add(Connection());

        Assert.Equal(0, _batch.ReleaseIfStuck());
    }

    [Theory]
    [InlineData(0, 2)]
    [InlineData(1, 4)]
    [InlineData(5, 20)]
    [InlineData(7, 25)]
    [InlineData(10_000, 25)]
    public void A_batch_may_last_a_few_times_as_long_as_its_sending_does(long sending, long batch) => Assert.Equal(batch, SendBatch.MayLast(sending));

    EngineSocket Connection() => new(_server.Engine, new Handshake("/", [], null, default), true, false);
}
