namespace Carillon.Channels.InProcess;

/// <content>What the layer holds in memory, and what it gives up when that is too much.</content>
public sealed partial class InProcessChannelLayer
{
    // Measured on 64 bits, rounded up: a message with its position, id and place in the queue; a state with its queue, lock and entry in
    // the table.
    const int MessageOverhead = 320;
    const int StateOverhead = 640;

    readonly long most = maxBytes ?? Math.Max(16L << 20, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 8);
    // A trim that could not make enough room is not tried again before there is more to take, or others may have left.
    static readonly TimeSpan TrimAgainAfter = TimeSpan.FromSeconds(1);

    long held;
    int trimming;
    long trimAbove;
    long trimmedAt;

    /// <summary>How many bytes of history and of channels are held, about.</summary>
    public long HeldBytes => Interlocked.Read(ref held);

    /// <summary>How many bytes may be held.</summary>
    public long MaxBytes => most;

    bool IsFull => HeldBytes > most;

    static long CostOf(string channel) => StateOverhead + (2L * channel.Length);

    static long CostOf(Publication message) => MessageOverhead + message.Body.Length + (2L * (message.Key?.Length ?? 0));

    // The state's gate is held, as in all that follows.
    void Keep(ChannelState state, Publication message, TimeSpan keepFor)
    {
        state.Kept.Enqueue(new Kept(message, clock.GetTimestamp(), keepFor));
        Add(state, CostOf(message));
    }

    void DropOldest(ChannelState state) => Add(state, -CostOf(state.Kept.Dequeue().Message));

    void Add(ChannelState state, long bytes)
    {
        state.Bytes += bytes;
        // A state that was forgotten is not counted any more.
        if (!state.Forgotten) Interlocked.Add(ref held, bytes);
    }

    // One thread trims; the others go on, and what they add is trimmed the next time.
    void TrimWhenFull()
    {
        if (!IsFull || (HeldBytes <= trimAbove && clock.GetElapsedTime(trimmedAt) < TrimAgainAfter)
            || Interlocked.Exchange(ref trimming, 1) == 1) return;
        try
        {
            Trim();
            (trimAbove, trimmedAt) = (HeldBytes + (most / 20), clock.GetTimestamp());
        }
        finally
        {
            Volatile.Write(ref trimming, 0);
        }
    }

    void Trim()
    {
        // Down to four fifths, so that the next publication does not trim again.
        var target = most / 5 * 4;
        var states = channels.ToArray();
        var excess = HeldBytes - target;
        var ceiling = CeilingFor([.. states.Select(entry => Volatile.Read(ref entry.Value.Bytes))], excess);
        foreach (var (_, state) in states)
        {
            if (Volatile.Read(ref state.Bytes) > ceiling) WithFreeGate(state, () => { while (state.Bytes > ceiling) DropOldest(state); });
        }
        if (HeldBytes <= target) return;

        // Those that nobody uses and that keep nothing, the longest untouched first: their old positions are told to be gone.
        foreach (var (channel, state) in states.OrderBy(entry => Volatile.Read(ref entry.Value.TouchedAt)))
        {
            if (HeldBytes <= target) return;
            WithFreeGate(state, () => { if (!state.Subscribed && state.Kept.Count == 0) Forget(channel, state); });
        }
    }

    // A publication from within a delivery trims under a gate: to wait for another gate there could be to wait for a thread that waits for
    // this one. A channel whose gate is taken is
    // left as it is; whoever has it publishes, and trims after that.
    static void WithFreeGate(ChannelState state, Action act)
    {
        if (!state.Gate.TryEnter()) return;
        try
        {
            act();
        }
        finally
        {
            state.Gate.Exit();
        }
    }

    /// <summary>
    /// How many bytes each channel may keep so that those with more give up so many bytes together; zero where all they have is not enough.
    /// </summary>
    internal static long CeilingFor(long[] kept, long excess)
    {
        Array.Sort(kept);
        var above = 0L;     // bytes of those that are looked at already
        for (var i = kept.Length - 1; i >= 0; i--)
        {
            above += kept[i];
            var count = kept.Length - i;
            var next = i > 0 ? kept[i - 1] : 0;
            if (above - (count * next) >= excess) return (above - excess) / count;
        }
        return 0;
    }
}
