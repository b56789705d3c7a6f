using Carillon.Storage;

namespace Carillon.Access;

/// <summary>What is deleted with a user, by each part of the server that stores something about users.</summary>
sealed class UserDeletion
{
    readonly List<Func<DatabaseTransaction, string, CancellationToken, Task>> _all = [];

    public void Add(Func<DatabaseTransaction, string, CancellationToken, Task> delete)
    {
        lock (_all) _all.Add(delete);
    }

    /// <summary>Deletes it in the transaction that deletes the user.</summary>
    public async Task RunAsync(DatabaseTransaction tx, string userId, CancellationToken ct)
    {
        Func<DatabaseTransaction, string, CancellationToken, Task>[] all;
        lock (_all) all = [.. _all];
        foreach (var delete in all) await delete(tx, userId, ct);
    }
}
