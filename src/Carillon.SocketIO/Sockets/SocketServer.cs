using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Limits;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Carillon.SocketIO.Sockets;

/// <summary>
/// A Socket.IO server (protocol 5 over Engine.IO 4). Get it from the services to set up namespaces and to send; <c>app.MapSocketIO()</c>
/// gives it its path.
/// </summary>
public sealed class SocketServer
{
    readonly ConcurrentDictionary<string, SocketNamespace> _namespaces = new();
    readonly List<NamespacePattern> _patterns = [];
    // how many namespaces were made from one for an account, or an address where it is not known
    readonly Dictionary<string, int> _madeFor = [];
    int _fromPatterns;      // and for all
    long _lastForgotten;

    /// <summary>Creates a server, with the namespace <c>/</c>.</summary>
    /// <param name="options">Its settings; checked here.</param>
    /// <param name="clock">The time; the system's where left out.</param>
    /// <param name="logger">The log of failing handlers; none if omitted.</param>
    /// <exception cref="InvalidOperationException">An option has a value that cannot work; the message says which.</exception>
    public SocketServer(IOptions<SocketIOOptions> options, TimeProvider? clock = null, ILogger<SocketServer>? logger = null)
    {
        Options = options.Value;
        Options.Validate();
        Clock = clock ?? TimeProvider.System;
        Logger = logger ?? NullLogger<SocketServer>.Instance;
        Engine = new EngineServer(Options.Engine, engine => _ = new SocketClient(this, engine), Clock, Logger)
        {
            AwaitsJoin = true,
            MaxBytesBeforeJoin = Options.MaxBytesBeforeJoin,
            ForgetKept = ForgetKept,
            LatencyMeasured = static engine => ((SocketClient)engine.Owner!).OnLatency(),
        };
        Root = Of("/");
    }

    /// <summary>The namespace <c>/</c>, which clients join unless they ask for another.</summary>
    public SocketNamespace Root { get; }

    /// <summary>The connections under the sockets.</summary>
    public EngineServer Engine { get; }

    /// <summary>The namespace of a name, made if it does not exist yet.</summary>
    /// <param name="name">Its name; a missing slash in front is added.</param>
    public SocketNamespace Of(string name) =>
        _namespaces.GetOrAdd(name.StartsWith('/') ? name : "/" + name, n => new SocketNamespace(this, n));

    /// <summary>
    /// Namespaces that exist while clients are in them: the first pattern that fits the whole name, in the order of registration, gives the
    /// handlers. The
    /// pattern is matched against names that clients choose: it must not backtrack (<see cref="RegexOptions.NonBacktracking"/> is added).
    /// </summary>
    public NamespacePattern Of(Regex pattern)
    {
        var safe = new NamespacePattern(new Regex($@"\A(?:{pattern})\z", pattern.Options | RegexOptions.NonBacktracking));
        lock (_patterns) _patterns.Add(safe);
        return safe;
    }

    /// <summary>
    /// Joins what this thread sends from here to the disposal of the answer: it leaves each connection in one write. For a burst of
    /// messages to the same clients.
    /// </summary>
    public static SendScope SendTogether()
    {
        SendBatch.Begin();
        return default;
    }

    internal SocketIOOptions Options { get; }

    internal TimeProvider Clock { get; }

    internal ILogger Logger { get; }

    /// <summary>
    /// Finds the namespace that a client asks for, or makes it where a pattern fits. It stays at least until it is released: two clients
    /// that come
    /// while a third leaves must not find two namespaces of one name.
    /// </summary>
    /// <param name="name">The name that the client asks for.</param>
    /// <param name="client">The connection that asks.</param>
    /// <param name="isFull">Whether it would be made if there were not as many as there may be, for all or for this client.</param>
    internal SocketNamespace? Hold(string name, EngineSocket client, out bool isFull)
    {
        isFull = false;
        lock (_patterns)
        {
            if (!_namespaces.TryGetValue(name, out var found))
            {
                if (_patterns.Find(p => p.Pattern.IsMatch(name)) is not { } pattern) return null;
                var maker = client.Account is { } account ? $"account {account}" : client.Handshake.Address is { } address
                    ? $"address {AddressKey.Of(address)}" : "";
                var own = _madeFor.GetValueOrDefault(maker);
                if (isFull = !MayMake(own, Options.MaxPatternNamespaces - _fromPatterns)) return null;
                found = _namespaces.GetOrAdd(name, n => new SocketNamespace(this, n, pattern) { Maker = maker });
                if (found.IsMadeFromPattern) (_fromPatterns, _madeFor[maker]) = (_fromPatterns + 1, own + 1);
            }
            found.Holders++;
            return found;
        }
    }

    // Nobody takes the last: one that has many leaves as many for the others.
    internal static bool MayMake(int own, int free) => own < free;

    /// <summary>Ends a hold.</summary>
    internal void Release(SocketNamespace nsp)
    {
        lock (_patterns) nsp.Holders--;
        RemoveIfEmpty(nsp);
        ForgetOldSessions();
    }

    // Names of a pattern are the clients' choice: an empty namespace must not stay in memory. One that keeps lost sessions does, until they
    // have expired.
    internal void RemoveIfEmpty(SocketNamespace nsp)
    {
        if (!nsp.IsMadeFromPattern) return;
        lock (_patterns)
            if (nsp is { Count: 0, Holders: 0, Recovery: null or { IsEmpty: true } }
                && _namespaces.TryRemove(KeyValuePair.Create(nsp.Name, nsp)))
            {
                _fromPatterns--;
                if (--_madeFor[nsp.Maker!] == 0) _madeFor.Remove(nsp.Maker!);
            }
    }

    // All connections together hold too much. The namespaces that keep most for clients that come back give way first, down to an equal
    // part of what may stay.
    void ForgetKept(Func<bool> isMissing, long mayStay)
    {
        var kept = _namespaces.Values.Select(nsp => nsp.Recovery).OfType<Recovery>().Where(recovery =>
            recovery.Bytes > 0).OrderByDescending(recovery => recovery.Bytes).ToArray();
        foreach (var recovery in kept) recovery.ForgetOldest(isMissing, mayStay / kept.Length);
    }

    // A namespace in which nothing happens any more does not notice that what it keeps is out of date. Whoever comes looks after it, now
    // and then.
    void ForgetOldSessions()
    {
        if (Options.RecoveryWindow is not { } within) return;
        var last = Volatile.Read(ref _lastForgotten);
        if (Clock.GetElapsedTime(last) < within
            || Interlocked.CompareExchange(ref _lastForgotten, Clock.GetTimestamp(), last) != last) return;
        foreach (var nsp in _namespaces.Values)
        {
            nsp.Recovery!.ForgetOld();
            RemoveIfEmpty(nsp);
        }
    }
}

/// <summary>A stretch of work whose messages leave together when it is disposed, on the thread that began it.</summary>
public readonly ref struct SendScope : IDisposable
{
    /// <summary>Sends what has come together.</summary>
    public void Dispose() => SendBatch.End();
}
