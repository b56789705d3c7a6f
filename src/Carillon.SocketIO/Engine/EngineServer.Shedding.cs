using System.Collections.Concurrent;
using Carillon.SocketIO.Limits;

namespace Carillon.SocketIO.Engine;

/// <summary>Closes the largest holders when all connections together hold too much (<see cref="BufferBudget"/>).</summary>
public sealed partial class EngineServer
{
    static readonly TimeSpan RestBetweenSheddings = TimeSpan.FromMilliseconds(25);
    static readonly TimeSpan LongestStandstill = TimeSpan.FromSeconds(1);

    readonly ConcurrentDictionary<EngineSocket, byte> _ending = new();      // ended, and still holding bytes
    bool _isShedding;
    bool _areReadersWatched;

    // One at a time, on a thread that sends and receives nothing: an addition that exceeds the budget comes from one that does.
    void BeginShedding()
    {
        if (!Interlocked.Exchange(ref _isShedding, true))
            ThreadPool.UnsafeQueueUserWorkItem(static server => _ = server.ShedAsync(), this, preferLocal: false);
    }

    // Again and again while too much is held, but with a rest between: where nothing comes back, because handlers do not end, looking at
    // all connections without a pause would not help.
    async Task ShedAsync()
    {
        do
        {
            try
            {
                ShedLargest();
            }
            catch (Exception ex)
            {
                LogSheddingFailed(ex);
            }
            await Task.Delay(RestBetweenSheddings, Clock);
        }
        while (Buffers.IsExceeded);
        Volatile.Write(ref _isShedding, false);
        if (Buffers.IsExceeded) BeginShedding();
    }

    // Closes the connections that hold most until enough is free, or on its way back. One that is far behind holds what others have
    // received long ago; one that is served well holds nothing. Events kept for recovery keep a share of their own, so that nobody can wipe
    // them by reading nothing.
    internal void ShedLargest()
    {
        var onTheWay = Holders.Where(session => session.IsShed).Sum(session => session.Held);
        if (IsMissing()) ForgetKept?.Invoke(IsMissing, Buffers.ShareOfKept);
        Shed(static session => session.Held, () => Buffers.Excess);
        onTheWay = Holders.Where(session => session.IsShed).Sum(session => session.Held);
        if (IsMissing()) ForgetKept?.Invoke(IsMissing, 0);

        bool IsMissing() => Buffers.Excess > onTheWay;
    }

    IEnumerable<EngineSocket> Holders => _sessions.Values.Concat(_ending.Keys).Distinct();

    void Shed(Func<EngineSocket, long> size, Func<long> excess)
    {
        var holders = Holders.Select(session => (Session: session, Size: size(session))).Where(holder => holder.Size > 0).ToArray();
        var onTheWay = holders.Where(holder => holder.Session.IsShed).Sum(holder => holder.Size);
        foreach (var (session, _) in holders.Where(holder => !holder.Session.IsShed).OrderByDescending(holder => holder.Size))
        {
            if (excess() <= onTheWay) break;
            try
            {
                session.Shed();
            }
            catch (Exception ex)
            {
                LogSheddingFailed(ex);     // the others must go all the same
            }
            onTheWay += size(session);
        }
        Buffers.WakeReaders();      // those that are not read must see their end
    }

    // Connections that hold a lot of what is half received are not read while all together hold too much of it. Where that does not move,
    // it never would: those that hold most of it go.
    void WatchReaders()
    {
        if (!Interlocked.Exchange(ref _areReadersWatched, true)) _ = WatchReadersAsync();
    }

    async Task WatchReadersAsync()
    {
        var before = Buffers.Received;
        await Task.Delay(LongestStandstill, Clock);
        try
        {
            if (Buffers.IsFlooded && !Buffers.IsMovement(Buffers.Received - before)) Shed(static session => session.HalfReceived, () =>
                Buffers.Flood);
        }
        catch (Exception ex)
        {
            LogSheddingFailed(ex);
        }
        Interlocked.Exchange(ref _areReadersWatched, false);      // before the next line reads who waits
        Buffers.WakeReaders();      // those that have to wait longer begin the next watch
    }

    /// <summary>A connection has ended that holds something still.</summary>
    internal void Ending(EngineSocket session) => _ending.TryAdd(session, 0);

    /// <summary>It holds nothing any more.</summary>
    internal void Forget(EngineSocket session) => _ending.TryRemove(session, out _);
}
