using Carillon.Storage;
using Dapper;
using Microsoft.Data.Sqlite;

namespace Carillon.Tests.Storage;

/// <summary>Writes that fail, and writers that wait: the next one gets its turn.</summary>
public sealed class FailingWritesTests : IAsyncDisposable
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(8);

    readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("carillon-");
    readonly Database _db;

    public FailingWritesTests() => _db = new Database(Path.Combine(_folder.FullName, "app.db"));

    static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_failed_commit_stores_nothing_and_lets_the_next_writer_in()
    {
        await WriteAsync("CREATE TABLE t (n INT)");
        for (var round = 0; round < 20; round++)
        {
            await using (var tx = await BeginAsync())
            {
                await tx.ExecuteAsync("INSERT INTO t VALUES (1)", ct: Ct);
                FailCommits(tx);
                await Assert.ThrowsAsync<SqliteException>(() => tx.CommitAsync(Ct));
            }
            Assert.Equal(round, await _db.QuerySingleOrDefaultAsync<int>("SELECT count(*) FROM t", ct: Ct));
            await WriteAsync("INSERT INTO t VALUES (2)");       // a connection without the hook: the broken one has left the pool
        }
    }

    [Fact]
    public async Task A_transaction_that_SQLite_has_rolled_back_by_itself_lets_the_next_writer_in()
    {
        await WriteAsync("CREATE TABLE t (n INT UNIQUE ON CONFLICT ROLLBACK)");
        await WriteAsync("INSERT INTO t VALUES (1)");
        await using (var tx = await BeginAsync())
            await Assert.ThrowsAsync<SqliteException>(() => tx.ExecuteAsync("INSERT INTO t VALUES (1)", ct: Ct));
        await WriteAsync("INSERT INTO t VALUES (2)");
    }

    [Fact]
    public async Task A_connection_that_cannot_be_closed_properly_lets_the_next_writer_in()
    {
        await using (var tx = await BeginAsync())
        {
            await tx.Connection.ExecuteAsync("ROLLBACK");       // the application's own mistake
            await Assert.ThrowsAnyAsync<Exception>(() => tx.CommitAsync(Ct));
        }
        await using (var tx = await BeginAsync())
            await tx.Connection.CloseAsync();
        await WriteAsync("CREATE TABLE t (n INT)");
    }

    [Fact]
    public async Task An_action_that_fails_after_the_commit_keeps_neither_the_others_nor_the_next_writer_back()
    {
        await WriteAsync("CREATE TABLE t (n INT)");
        var announced = 0;
        _db.Committed += () => announced++;
        List<int> done = [];
        var tx = await BeginAsync();
        await tx.ExecuteAsync("INSERT INTO t VALUES (1)", ct: Ct);
        tx.WhenCommitted(() => throw new InvalidOperationException("a bug elsewhere"));
        tx.WhenCommitted(() => done.Add(1));
        tx.WhenCommitted(() => throw new InvalidOperationException("another one"));
        tx.WhenCommitted(() => done.Add(2));
        var error = await Assert.ThrowsAsync<AggregateException>(() => tx.CommitAsync(Ct));      // and it is not disposed

        Assert.Equal((2, 1), (error.InnerExceptions.Count, announced));
        Assert.Equal([1, 2], done);
        await WriteAsync("INSERT INTO t VALUES (2)");
        Assert.Equal(2, await _db.QuerySingleOrDefaultAsync<int>("SELECT count(*) FROM t", ct: Ct));
    }

    [Fact]
    public async Task A_lock_of_another_program_blocks_no_thread_of_ours_and_ends_with_unavailable()
    {
        await WriteAsync("CREATE TABLE t (n INT)");
        await using (await LockAsync())
        {
            var began = TimeProvider.System.GetTimestamp();
            Task<DatabaseTransaction>[] waiting = [.. Enumerable.Range(0, 3).Select(_ => _db.BeginAsync(null, WriterLane.Ordinary, TimeSpan.FromSeconds(2), Ct).AsTask())];
            Assert.InRange(TimeProvider.System.GetElapsedTime(began), TimeSpan.Zero, TimeSpan.FromSeconds(1));
            Assert.All(waiting, task => Assert.False(task.IsCompleted));
            // All of them within the time that one waits, not one after the other.
            foreach (var task in waiting)
            {
                var error = await Assert.ThrowsAsync<DatabaseUnavailableException>(() => task);
                Assert.Contains("another program holds its lock", error.Message, StringComparison.Ordinal);
            }
            Assert.InRange(TimeProvider.System.GetElapsedTime(began), TimeSpan.FromSeconds(1.5), TimeSpan.FromSeconds(5));
        }
        await WriteAsync("INSERT INTO t VALUES (1)");
    }

    [Fact]
    public async Task Readers_wait_without_a_thread_while_another_program_holds_the_file_for_itself()
    {
        await WriteAsync("CREATE TABLE t (n INT); INSERT INTO t VALUES (7)");
        _db.ClearPools();
        Task<int>[] reading;
        await using (var other = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = _db.Path, Pooling = false }.ConnectionString))
        {
            await other.OpenAsync(Ct);
            await other.ExecuteAsync("PRAGMA locking_mode = EXCLUSIVE; INSERT INTO t VALUES (8)");
            var began = TimeProvider.System.GetTimestamp();
            reading = [.. Enumerable.Range(0, 50).Select(_ => _db.QuerySingleOrDefaultAsync<int>("SELECT min(n) FROM t", ct: Ct))];
            Assert.InRange(TimeProvider.System.GetElapsedTime(began), TimeSpan.Zero, TimeSpan.FromSeconds(2));
            Assert.All(reading, task => Assert.False(task.IsCompleted));
        }
        Assert.All(await Task.WhenAll(reading).WaitAsync(Patience, Ct), n => Assert.Equal(7, n));
    }

    [Fact]
    public async Task A_commit_that_meets_a_full_disk_is_unavailable_and_the_next_one_succeeds()
    {
        await WriteAsync("CREATE TABLE t (n INT)");
        for (var round = 0; round < 5; round++)
        {
            await FullDisk.ForNextTransactionAsync(_db);
            await using (var tx = await BeginAsync())
            {
                await tx.ExecuteAsync("INSERT INTO t VALUES (1)", ct: Ct);
                var error = await Assert.ThrowsAsync<DatabaseUnavailableException>(() => tx.CommitAsync(Ct));
                Assert.Contains("the disk is full", error.Message, StringComparison.Ordinal);
            }
            await WriteAsync("INSERT INTO t VALUES (2)");
        }
        Assert.Equal(5, await _db.QuerySingleOrDefaultAsync<int>("SELECT count(*) FROM t", ct: Ct));
    }

    [Fact]
    public async Task A_statement_that_meets_a_full_disk_is_unavailable_like_a_commit()
    {
        await WriteAsync("CREATE TABLE t (b BLOB)");
        var fill = "INSERT INTO t VALUES (randomblob(100000)) RETURNING length(b)";
        Func<DatabaseTransaction, Task>[] statements =
        [
            tx => tx.ExecuteAsync(fill, ct: Ct), tx => tx.ExecuteScalarAsync<int>(fill, ct: Ct), tx => tx.QueryAsync<int>(fill, ct: Ct), tx => tx.QuerySingleOrDefaultAsync<int>(fill, ct: Ct),
        ];
        foreach (var statement in statements)
            await using (var tx = await BeginAsync())
            {
                await tx.ExecuteAsync("PRAGMA max_page_count = 1", ct: Ct);        // which is: as many as there are
                var error = await Assert.ThrowsAsync<DatabaseUnavailableException>(() => statement(tx));
                Assert.Contains("the disk is full", error.Message, StringComparison.Ordinal);
            }
    }

    [Theory]
    [InlineData(5, true)]
    [InlineData(6, true)]
    [InlineData(7, true)]
    [InlineData(8, true)]
    [InlineData(10, true)]
    [InlineData(13, true)]
    [InlineData(14, true)]
    [InlineData(15, true)]
    [InlineData(1, false)]
    [InlineData(11, false)]
    [InlineData(19, false)]
    public void Faults_of_the_disk_the_file_and_its_locks_are_unavailable_and_faults_of_a_statement_are_not(int code, bool unavailable) =>
        Assert.Equal(unavailable, DatabaseUnavailableException.Is(new SqliteException("", code)));

    [Fact]
    public async Task Administrative_writes_do_not_queue_behind_ordinary_ones()
    {
        await WriteAsync("CREATE TABLE t (n INT)");
        var holder = await BeginAsync();
        List<int> order = [];
        Task[] ordinary = [.. Enumerable.Range(0, 200).Select(i => EnterAsync(WriterLane.Ordinary, i))];
        var administrative = EnterAsync(WriterLane.Administrative, -1);
        await holder.DisposeAsync();
        await administrative.WaitAsync(Patience, Ct);
        lock (order) Assert.InRange(order.IndexOf(-1), 0, 1);
        await Task.WhenAll(ordinary).WaitAsync(Patience, Ct);
        Assert.Equal(Enumerable.Range(0, 200), order.Where(i => i >= 0));

        async Task EnterAsync(WriterLane lane, int i)
        {
            await using var tx = await _db.BeginAsync(null, lane, Ct);
            lock (order) order.Add(i);
        }
    }

    [Fact]
    public async Task A_writer_that_gives_up_waiting_leaves_its_place()
    {
        await using (await BeginAsync())
            for (var round = 0; round < 50; round++)
            {
                using var impatient = new CancellationTokenSource();
                Task[] waiting = [_db.BeginAsync(null, impatient.Token).AsTask(), _db.BeginAsync(null, WriterLane.Administrative, impatient.Token).AsTask()];
                await impatient.CancelAsync();
                foreach (var task in waiting) await Assert.ThrowsAnyAsync<OperationCanceledException>(() => task);
            }
        await WriteAsync("CREATE TABLE t (n INT)");
    }

    /// <summary>Makes every COMMIT on the transaction's connection fail, after which SQLite has rolled back.</summary>
    internal static void FailCommits(DatabaseTransaction tx) => SQLitePCL.raw.sqlite3_commit_hook(((SqliteConnection)tx.Connection).Handle, _ => 1, null);

    /// <summary>Takes the write lock as another program does; disposing the answer gives it back.</summary>
    async Task<SqliteConnection> LockAsync() => await ForeignLock.TakeAsync(_db.Path);

    Task<DatabaseTransaction> BeginAsync() => _db.BeginAsync(null, Ct).AsTask().WaitAsync(Patience, Ct);

    async Task WriteAsync(string sql)
    {
        await using var tx = await BeginAsync();
        await tx.ExecuteAsync(sql, ct: Ct);
        await tx.CommitAsync(Ct);
    }

    public async ValueTask DisposeAsync()
    {
        await _db.DisposeAsync();
        _folder.Delete(recursive: true);
    }
}
