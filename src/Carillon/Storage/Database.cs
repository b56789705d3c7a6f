using System.Data.Common;
using System.Runtime.InteropServices;
using Dapper;
using Microsoft.Data.Sqlite;

namespace Carillon.Storage;

/// <summary>
/// The application's SQLite file, as Carillon opens it: write-ahead log, foreign keys, a busy timeout, and one writer at a time within the
/// process, so that writers wait in a fair queue instead of retrying against each other. Other connections, of this process or another,
/// may use the same file at any time.
/// </summary>
public sealed class Database : IAsyncDisposable
{
    // So long a writer waits for its turn and for the writes of other processes together; much longer than any healthy transaction. Readers
    // wait as long to open.
    const int BusyTimeoutMilliseconds = 10_000;

    // A statement that reads waits on its thread, and only for what began after the connection was opened.
    const int ReadBusyTimeoutMilliseconds = 1000;
    static readonly TimeSpan OpenAgainAfter = TimeSpan.FromMilliseconds(20);
    internal static readonly TimeSpan WriteTimeout = TimeSpan.FromMilliseconds(BusyTimeoutMilliseconds);

    // SQLite copies its write-ahead log into the database within whichever commit finds it long: measured at 100 ms and more, once in a
    // hundred sales. We do it beside the writers, after this many commits; SQLite's own way remains for logs that grow faster.
    const int CommitsBetweenCheckpoints = 200;
    const int PagesBeforeSqliteCheckpoints = 10_000;

    readonly string writing;
    readonly string reading;
    readonly string owned;
    readonly WriterQueue writers = new();
    readonly Lock migrating = new();
    Task? migration;
    volatile bool migrated;
    volatile bool isWaitingForLock;
    long lockMetAt = long.MinValue;      // the last moment at which a writer gave up because of another program's lock
    volatile Task checkpointing = Task.CompletedTask;
    int commits;

    static Database() => SQLitePCL.Batteries_V2.Init();

    /// <summary>Names the file; it is opened, and created where it does not exist, at first use.</summary>
    /// <param name="path">The path of the database file.</param>
    public Database(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        Path = System.IO.Path.GetFullPath(path);
        // Two connection strings, so that pooled readers (which refuse to write) are never handed out as writers.
        writing = new SqliteConnectionStringBuilder { DataSource = Path, ForeignKeys = true, DefaultTimeout = 30 }.ConnectionString;
        // Never pooled: a transaction that its user left open must end with it.
        owned = new SqliteConnectionStringBuilder { DataSource = Path, ForeignKeys = true, DefaultTimeout = 30,
            Pooling = false }.ConnectionString;
        reading = new SqliteConnectionStringBuilder { DataSource = Path, ForeignKeys = true, DefaultTimeout = 31 }.ConnectionString;
    }

    /// <summary>The full path of the database file.</summary>
    public string Path { get; }

    /// <summary>How many writers wait for their turn.</summary>
    internal int WaitingWriters => writers.Waiting;

    /// <summary>
    /// Raised after each transaction of this process that was committed through <see cref="BeginAsync(string, CancellationToken)"/>. A hint
    /// to look now: it must
    /// return at once, and nothing may depend on it, because writes of others do not raise it.
    /// </summary>
    public event Action? Committed;

    /// <summary>
    /// Begins a write transaction; it has the write lock from the start, so that what it reads cannot change before it writes.
    /// Dispose it to roll back what was not committed. The calling thread is never blocked while other writers, or other processes, hold
    /// the lock.
    /// </summary>
    /// <param name="actor">The actor of every change of this transaction; null if there is none.</param>
    /// <param name="ct">Ends the waiting for the other writers.</param>
    /// <exception cref="DatabaseUnavailableException">The write lock was not free for 10 seconds, or the file cannot be
    /// written.</exception>
    public ValueTask<DatabaseTransaction> BeginAsync(string? actor, CancellationToken ct) => BeginAsync(actor, WriterLane.Ordinary, ct);

    /// <summary>
    /// Begins a write transaction in a lane of its own, so that what an operator decides does not queue behind everybody's writes.
    /// </summary>
    internal ValueTask<DatabaseTransaction> BeginAsync(string? actor, WriterLane lane, CancellationToken ct) =>
        BeginAsync(actor, lane, WriteTimeout, ct);

    internal async ValueTask<DatabaseTransaction> BeginAsync(string? actor, WriterLane lane, TimeSpan timeout, CancellationToken ct)
    {
        await MigrateOnceAsync(ct);
        return await BeginUnmigratedAsync(actor, lane, timeout, ct);
    }

    /// <summary>Opens a connection that can read and refuses to write. It sees the last committed state; dispose it after use.</summary>
    /// <param name="ct">Ends the opening.</param>
    /// <exception cref="DatabaseUnavailableException">Another program held the file for itself for 10 seconds, or it cannot be
    /// opened.</exception>
    public async ValueTask<DbConnection> OpenReadAsync(CancellationToken ct)
    {
        await MigrateOnceAsync(ct);
        return await OpenAsync(reading, ReadBusyTimeoutMilliseconds, "PRAGMA query_only = ON;", ct);
    }

    /// <summary>
    /// Opens a connection of the application's own, outside of the writer queue: for tools and migrations, which begin and end their
    /// transactions themselves. Say <see cref="NotifyCommitted"/> after writing, or the changes are announced a moment later.
    /// </summary>
    /// <param name="ct">Ends the opening.</param>
    public async ValueTask<DbConnection> OpenOwnAsync(CancellationToken ct)
    {
        await MigrateOnceAsync(ct);
        return await OpenAsync(owned, BusyTimeoutMilliseconds, "", ct);
    }

    /// <summary>Says that something was committed on a connection of the application's own: it is announced at once.</summary>
    public void NotifyCommitted() => Committed?.Invoke();

    /// <summary>Reads rows.</summary>
    /// <param name="sql">The query, its values as parameters.</param>
    /// <param name="parameters">An object whose properties are the parameters.</param>
    /// <param name="ct">Ends the query.</param>
    public async Task<IReadOnlyList<T>> QueryAsync<T>(string sql, object? parameters = null, CancellationToken ct = default)
    {
        await using var connection = await OpenReadAsync(ct);
        return (await TranslateAsync(connection.QueryAsync<T>(new CommandDefinition(sql, parameters, cancellationToken: ct)))).AsList();
    }

    /// <summary>Reads one row, or the default where there is none.</summary>
    /// <param name="sql">The query, its values as parameters.</param>
    /// <param name="parameters">An object whose properties are the parameters.</param>
    /// <param name="ct">Ends the query.</param>
    public async Task<T?> QuerySingleOrDefaultAsync<T>(string sql, object? parameters = null, CancellationToken ct = default)
    {
        await using var connection = await OpenReadAsync(ct);
        return await TranslateAsync(connection.QuerySingleOrDefaultAsync<T>(new CommandDefinition(sql, parameters, cancellationToken: ct)));
    }

    /// <summary>Closes the connections that are kept for reuse.</summary>
    public async ValueTask DisposeAsync()
    {
        await checkpointing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        CloseIdleConnections();
        writers.Dispose();
    }

    internal void CloseIdleConnections()
    {
        // Also after the file was replaced: pooled handles would go on with the file that is gone.
        ClearPools();
        migrated = false;
    }

    internal void ClearPools()
    {
        using (var connection = new SqliteConnection(writing)) SqliteConnection.ClearPool(connection);
        using (var connection = new SqliteConnection(reading)) SqliteConnection.ClearPool(connection);
    }

    /// <summary>
    /// Whether the file that a connection has open is not the one at its path any more: deleted, or replaced by another. SQLite compares
    /// inodes; .NET cannot, and its creation time is on many Linux file systems the time of the last write.
    /// </summary>
    internal static bool HasMoved(SqliteConnection connection)
    {
        const int hasMoved = 20;   // SQLITE_FCNTL_HAS_MOVED
        try
        {
            var moved = 0;
            return FileControl(connection.Handle!.DangerousGetHandle(), "main", hasMoved, ref moved) == 0 && moved != 0;
        }
        catch (Exception ex) when (ex is DllNotFoundException or EntryPointNotFoundException)
        {
            return false;   // the host brought another SQLite; positions ahead of the log still reveal it
        }
    }

    [DllImport("e_sqlite3", EntryPoint = "sqlite3_file_control", ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories | DllImportSearchPath.AssemblyDirectory)]
    static extern int FileControl(nint db, [MarshalAs(UnmanagedType.LPUTF8Str)] string name, int operation, ref int argument);

    internal async ValueTask<DatabaseTransaction> BeginUnmigratedAsync(
        string? actor, WriterLane lane, TimeSpan timeout, CancellationToken ct)
    {
        var began = Environment.TickCount64;
        var turn = await writers.EnterAsync(lane, timeout, ct)
            // The writer ahead may have given up a moment before.
            ?? throw Unavailable(isWaitingForLock || Volatile.Read(ref lockMetAt) >= began
                ? "another program holds its lock"
                : "other writes of this server take too long", null);
        DatabaseTransaction? transaction = null;
        try
        {
            // SQLite waits for other processes on the thread that asks it: never on the thread that reads from a client.
            var left = Math.Max(1, (int)timeout.TotalMilliseconds - (int)(Environment.TickCount64 - began));
            transaction = await Task.Run(() => BeginOnThisThread(actor is not null, turn, left), ct);
            if (actor is not null) await transaction.ExecuteAsync("UPDATE carillon_context SET actor = @actor", new { actor }, ct);
            return transaction;
        }
        catch (Exception ex)
        {
            try
            {
                if (transaction is not null) await transaction.DisposeAsync();
            }
            finally
            {
                turn.Dispose();
            }
            if (ex is SqliteException sqlite && DatabaseUnavailableException.ReasonOf(sqlite) is { } reason) throw Unavailable(reason, ex);
            throw;
        }
    }

    DatabaseTransaction BeginOnThisThread(bool namesAnActor, WriterTurn turn, int busyTimeout)
    {
        SqliteConnection? connection = null;
        try
        {
            isWaitingForLock = true;
            connection = Open(writing, busyTimeout, $"PRAGMA wal_autocheckpoint = {PagesBeforeSqliteCheckpoints};");
            return new DatabaseTransaction(this, connection, connection.BeginTransaction(deferred: false), namesAnActor, turn);
        }
        catch (Exception ex)
        {
            if (ex is SqliteException { SqliteErrorCode: 5 or 6 }) Volatile.Write(ref lockMetAt, Environment.TickCount64);
            connection?.Dispose();
            throw;
        }
        finally
        {
            isWaitingForLock = false;
        }
    }

    /// <summary>Ends a transaction: the next writer gets its turn, whatever the outcome was.</summary>
    internal void End(WriterTurn turn, bool committed)
    {
        // Counted before the turn is over, so that one checkpoint at a time is begun.
        if (committed && ++commits >= CommitsBetweenCheckpoints && checkpointing.IsCompleted)
        {
            commits = 0;
            checkpointing = Task.Run(CheckpointAsync);
        }

        turn.Dispose();
        if (committed) Committed?.Invoke();
    }

    /// <summary>Takes a connection whose transaction ended badly, and all others that wait to write, out of the pool.</summary>
    internal static void Discard(SqliteConnection connection) => SqliteConnection.ClearPool(connection);

    /// <summary>Awaits what SQLite does, and says in one way that the disk, the file or its locks are in the way.</summary>
    internal async Task<T> TranslateAsync<T>(Task<T> work)
    {
        try
        {
            return await work;
        }
        catch (SqliteException ex) when (DatabaseUnavailableException.ReasonOf(ex) is { } reason)
        {
            throw Unavailable(reason, ex);
        }
    }

    internal DatabaseUnavailableException Unavailable(string reason, Exception? cause) =>
        new($"The database {System.IO.Path.GetFileName(Path)} is not available: {reason}.", cause);

    // PASSIVE: copies what nobody needs in the log any more, and waits for nobody. What it cannot do now, the next one does.
    async Task CheckpointAsync()
    {
        try
        {
            await using var connection = await OpenAsync(writing, ReadBusyTimeoutMilliseconds, "", CancellationToken.None);
            await using var command = connection.CreateCommand();
            command.CommandText = "PRAGMA wal_checkpoint(PASSIVE)";
            await command.ExecuteNonQueryAsync();
        }
        catch (DbException)
        {
            // The file is busy or gone, or the disk is full: the next writer reports it.
        }
    }

    async ValueTask MigrateOnceAsync(CancellationToken ct)
    {
        if (migrated) return;
        Task attempt;
        // One attempt for all that wait: where a lock is in the way, they fail together and not one after the other.
        lock (migrating) attempt = migration is { IsCompleted: false } running ? running : migration = MigrateAsync();
        await attempt.WaitAsync(ct);
    }

    async Task MigrateAsync()
    {
        if (migrated) return;
        await Migrator.ApplyAsync(this, CancellationToken.None);
        migrated = true;
    }

    // Another program may hold the file for itself (locking_mode = EXCLUSIVE): a reader waits for it without a thread, because every
    // request reads.
    async ValueTask<SqliteConnection> OpenAsync(string connectionString, int busyTimeout, string also, CancellationToken ct)
    {
        var began = Environment.TickCount64;
        while (true)
        {
            ct.ThrowIfCancellationRequested();
            try
            {
                return Open(connectionString, 0, $"{also} PRAGMA busy_timeout = {busyTimeout}");
            }
            catch (SqliteException ex) when (DatabaseUnavailableException.ReasonOf(ex) is { } reason)
            {
                if (ex.SqliteErrorCode is not (5 or 6)
                    || Environment.TickCount64 - began >= BusyTimeoutMilliseconds) throw Unavailable(reason, ex);
            }
            await Task.Delay(OpenAgainAfter, ct);
        }
    }

    static SqliteConnection Open(string connectionString, int busyTimeout, string also)
    {
        var connection = new SqliteConnection(connectionString);
        try
        {
            connection.Open();
            // SQLite does the waiting. The provider's own loop of retries, which blocks, comes on top of it: it ends after its first
            // attempt, and has no part in this.
            connection.DefaultTimeout = 1;
            // WAL is a property of the file: setting it again costs a read. NORMAL loses no committed change when the process dies,
            // only (and still consistently) when the machine does.
            var result = SQLitePCL.raw.sqlite3_exec(
                connection.Handle, $"PRAGMA busy_timeout = {busyTimeout}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {also}");
            SqliteException.ThrowExceptionForRC(result, connection.Handle);
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }
}
