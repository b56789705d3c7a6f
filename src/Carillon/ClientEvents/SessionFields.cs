using Carillon.Access;

namespace Carillon.ClientEvents;

/// <summary>What features add to the event <c>session</c>.</summary>
sealed class SessionFields
{
    readonly List<(string Name, Func<Caller, CancellationToken, ValueTask<object>> Read)> _all = [];

    /// <summary>Adds a member, which is read each time that a client connects.</summary>
    public void Add(string name, Func<Caller, CancellationToken, ValueTask<object>> read)
    {
        lock (_all) _all.Add((name, read));
    }

    /// <summary>Reads all members for a caller into the payload of <c>session</c>.</summary>
    public async ValueTask ReadAsync(Caller caller, IDictionary<string, object?> session, CancellationToken ct)
    {
        (string Name, Func<Caller, CancellationToken, ValueTask<object>> Read)[] all;
        lock (_all) all = [.. _all];
        foreach (var (name, read) in all) session[name] = await read(caller, ct);
    }
}
