using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Carillon.SocketIO;

/// <summary>
/// A Socket.IO server (protocol 5 over Engine.IO 4). Get it from the services to set up namespaces and to send; <c>app.MapSocketIO()</c> gives it its path.
/// </summary>
public sealed class SocketServer
{
    readonly ConcurrentDictionary<string, SocketNamespace> _namespaces = new();
    readonly List<NamespacePattern> _patterns = [];

    /// <summary>Creates a server, with the namespace <c>/</c>.</summary>
    /// <param name="options">Its settings; checked here.</param>
    /// <param name="clock">The time; the system's where left out.</param>
    /// <param name="logger">Where failing handlers are told; nowhere where left out.</param>
    /// <exception cref="InvalidOperationException">An option has a value that cannot work; the message says which.</exception>
    public SocketServer(IOptions<SocketIOOptions> options, TimeProvider? clock = null, ILogger<SocketServer>? logger = null)
    {
        Options = options.Value;
        Options.Validate();
        Clock = clock ?? TimeProvider.System;
        Logger = logger ?? NullLogger<SocketServer>.Instance;
        Engine = new EngineServer(Options.Engine, engine => _ = new SocketClient(this, engine), Clock, Logger);
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
    /// Namespaces that exist while clients are in them: the first pattern that fits the whole name, in the order of registration, gives the handlers. The
    /// pattern is matched against names that clients choose: it must not backtrack (<see cref="RegexOptions.NonBacktracking"/> is added).
    /// </summary>
    public NamespacePattern Of(Regex pattern)
    {
        var safe = new NamespacePattern(new Regex($"^(?:{pattern})$", pattern.Options | RegexOptions.NonBacktracking));
        lock (_patterns) _patterns.Add(safe);
        return safe;
    }

    internal SocketIOOptions Options { get; }

    internal TimeProvider Clock { get; }

    internal ILogger Logger { get; }

    internal SocketNamespace? Find(string name)
    {
        if (_namespaces.TryGetValue(name, out var found)) return found;
        NamespacePattern? pattern;
        lock (_patterns) pattern = _patterns.Find(p => p.Pattern.IsMatch(name));
        return pattern is null ? null : _namespaces.GetOrAdd(name, n => new SocketNamespace(this, n, pattern));
    }

    // Names of a pattern are the clients' choice: an empty namespace must not stay in memory. One that keeps lost sessions does, until they have expired.
    internal void RemoveIfEmpty(SocketNamespace nsp)
    {
        if (nsp.Count == 0 && nsp.Recovery is null) _namespaces.TryRemove(KeyValuePair.Create(nsp.Name, nsp));
    }
}
