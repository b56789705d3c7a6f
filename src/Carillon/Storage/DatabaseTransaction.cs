using System.Data.Common;
using Dapper;
using Microsoft.Data.Sqlite;

namespace Carillon.Storage;

/// <summary>A write transaction. What is not committed when it is disposed is rolled back, and is then never announced.</summary>
public sealed class DatabaseTransaction : IAsyncDisposable
{
    readonly SqliteConnection connection;
    readonly SqliteTransaction transaction;
    readonly bool namesAnActor;
    readonly Database database;
    readonly WriterTurn turn;
    readonly List<Action> whenCommitted = [];
    bool committed;
    bool disposed;
    bool isBroken;

    internal DatabaseTransaction(
        Database database, SqliteConnection connection, SqliteTransaction transaction, bool namesAnActor, WriterTurn turn)
    {
        this.database = database;
        this.connection = connection;
        this.transaction = transaction;
        this.namesAnActor = namesAnActor;
        this.turn = turn;
    }

    /// <summary>The connection that the transaction runs on, for what the methods here do not offer.</summary>
    public DbConnection Connection => connection;

    /// <summary>Runs a statement and returns the number of changed rows.</summary>
    /// <param name="sql">The statement, its values as parameters.</param>
    /// <param name="parameters">An object whose properties are the parameters, or a list of such objects to run it for each.</param>
    /// <param name="ct">Ends the statement.</param>
    /// <exception cref="DatabaseUnavailableException">The disk is full or failed. The transaction cannot be committed.</exception>
    public Task<int> ExecuteAsync(string sql, object? parameters = null, CancellationToken ct = default) =>
        database.TranslateAsync(connection.ExecuteAsync(new CommandDefinition(sql, parameters, transaction, cancellationToken: ct)));

    /// <summary>Runs a statement and reads the one value that it answers.</summary>
    /// <param name="sql">The statement, its values as parameters.</param>
    /// <param name="parameters">An object whose properties are the parameters.</param>
    /// <param name="ct">Ends the statement.</param>
    public Task<T?> ExecuteScalarAsync<T>(string sql, object? parameters = null, CancellationToken ct = default) =>
        database.TranslateAsync(
            connection.ExecuteScalarAsync<T>(new CommandDefinition(sql, parameters, transaction, cancellationToken: ct)));

    /// <summary>Reads rows, those that this transaction wrote included.</summary>
    /// <param name="sql">The query, its values as parameters.</param>
    /// <param name="parameters">An object whose properties are the parameters.</param>
    /// <param name="ct">Ends the query.</param>
    public async Task<IReadOnlyList<T>> QueryAsync<T>(string sql, object? parameters = null, CancellationToken ct = default) =>
        (await database.TranslateAsync(
            connection.QueryAsync<T>(new CommandDefinition(sql, parameters, transaction, cancellationToken: ct)))).AsList();

    /// <summary>Reads one row, or the default where there is none.</summary>
    /// <param name="sql">The query, its values as parameters.</param>
    /// <param name="parameters">An object whose properties are the parameters.</param>
    /// <param name="ct">Ends the query.</param>
    public Task<T?> QuerySingleOrDefaultAsync<T>(string sql, object? parameters = null, CancellationToken ct = default) =>
        database.TranslateAsync(
            connection.QuerySingleOrDefaultAsync<T>(new CommandDefinition(sql, parameters, transaction, cancellationToken: ct)));

    /// <summary>
    /// Does something after the commit and before the next writer begins: what it puts in line is in the order of the commits. It must
    /// return at once, and nothing of it happens where the
    /// transaction is rolled back.
    /// </summary>
    /// <param name="action">The action. The transaction is committed already: its exceptions are thrown by the commit, after all other
    /// actions were
    /// done.</param>
    public void WhenCommitted(Action action) => whenCommitted.Add(action);

    /// <summary>Commits, after which the changes are announced, and lets the next writer in.</summary>
    /// <param name="ct">Ends the waiting before the commit.</param>
    /// <exception cref="DatabaseUnavailableException">The disk is full or failed. Nothing of the transaction is stored.</exception>
    public async Task CommitAsync(CancellationToken ct = default)
    {
        // Within the same transaction: no other writer ever sees an actor that is not its own.
        if (namesAnActor) await ExecuteAsync("UPDATE carillon_context SET actor = NULL", ct: ct);
        isBroken = true;       // until it is known that it is not
        await database.TranslateAsync(CommitOnlyAsync(ct));
        isBroken = false;
        committed = true;
        CommitWatch.Note();
        var failures = RunWhenCommitted();
        await EndAsync();
        if (failures.Count > 0) throw new AggregateException(
            "The transaction is committed; what was to be done then has failed.", failures);
    }

    async Task<bool> CommitOnlyAsync(CancellationToken ct)
    {
        await transaction.CommitAsync(ct);
        return true;
    }

    List<Exception> RunWhenCommitted()
    {
        List<Exception> failures = [];
        foreach (var action in whenCommitted)
            try
            {
                action();
            }
            catch (Exception ex)
            {
                failures.Add(ex);
            }
        return failures;
    }

    /// <summary>Rolls back what was not committed.</summary>
    public ValueTask DisposeAsync() => EndAsync();

    async ValueTask EndAsync()
    {
        if (disposed) return;
        disposed = true;
        try
        {
            await RollBackAsync();
        }
        finally
        {
            try
            {
                if (isBroken) Database.Discard(connection);
                await connection.DisposeAsync();
            }
            finally
            {
                database.End(turn, committed);
            }
        }
    }

    // After a failed COMMIT SQLite has rolled back already, and ROLLBACK is an error. The connection is not used again either way, and
    // closing it rolls back what is left.
    async ValueTask RollBackAsync()
    {
        try
        {
            await transaction.DisposeAsync();
        }
        catch (Exception ex) when (ex is SqliteException or InvalidOperationException)
        {
            isBroken = true;
        }
    }
}
