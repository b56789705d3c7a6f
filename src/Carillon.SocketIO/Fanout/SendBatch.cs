namespace Carillon.SocketIO;

/// <summary>
/// Joins what one thread sends to a connection while it works through a batch, such as the messages that one read brought: it leaves in one write at the end. Where the
/// work takes long, what has come together so far leaves before.
/// </summary>
static class SendBatch
{
    // Longer than the work on any batch that is only arithmetic; shorter than anybody notices.
    const long LongestMilliseconds = 2;

    [ThreadStatic] static List<EngineSocket>? t_waiting;
    [ThreadStatic] static int t_depth;
    [ThreadStatic] static long t_begun;

    /// <summary>Begins a batch of this thread. Batches nest; the outermost counts.</summary>
    public static void Begin()
    {
        if (t_depth++ == 0) t_begun = Environment.TickCount64;
    }

    /// <summary>Ends it, on the same thread, and sends.</summary>
    public static void End()
    {
        if (t_depth > 0 && --t_depth == 0) Release();
    }

    /// <summary>Whether this thread works through a batch: the connection is then asked to send at its end.</summary>
    public static bool TryHold(EngineSocket connection)
    {
        if (t_depth == 0) return false;
        (t_waiting ??= []).Add(connection);
        return true;
    }

    /// <summary>Between two messages of a batch: sends if the first has waited long enough.</summary>
    public static void Pause()
    {
        if (t_waiting is not { Count: > 0 } || Environment.TickCount64 - t_begun < LongestMilliseconds) return;
        Release();
        t_begun = Environment.TickCount64;
    }

    static void Release()
    {
        // What is sent may bring about more.
        while (t_waiting is { Count: > 0 } waiting)
        {
            t_waiting = null;
            foreach (var connection in waiting) connection.SendHeld();
            waiting.Clear();
            t_waiting ??= waiting;
        }
    }
}
