using Carillon.Channels;
using Carillon.Changes;
using Carillon.Storage;
using Carillon.Tests.Live;
using Carillon.Tests.Storage;
using Dapper;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Carillon.Tests.Changes;

public sealed class RecoveryTests
{
    const string Schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, v)";

    static CancellationToken Ct => TestContext.Current.CancellationToken;

    static ChangesOptions Options(int keepCount = 1000, TimeSpan? keepFor = null, int pruneEveryMilliseconds = 20) => new()
    {
        Tables = ["t"],
        HistorySize = keepCount,
        HistoryTtl = keepFor ?? TimeSpan.FromDays(7),
        PollInterval = TimeSpan.FromMilliseconds(20),
        PruneEvery = TimeSpan.FromMilliseconds(pruneEveryMilliseconds),
    };

    [Fact]
    public async Task What_was_committed_before_a_kill_and_not_announced_is_in_the_history_after_it()
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, "t");
        await hub.WriteAsync("INSERT INTO t (v) VALUES (1)");
        var seen = (await hub.NextAsync()).Message.Position;

        await hub.KillAsync();
        await hub.WriteAsync("INSERT INTO t (v) VALUES (2)", actor: "alice");
        await hub.Sqlite3Async("INSERT INTO t (v) VALUES (3);");
        await using var restarted = await hub.StartAnotherAsync();

        var history = await restarted.HistoryAsync("t", seen);
        Assert.True(history.Recovered);
        Assert.Equal([(seen with { Offset = 2 }, "insert 2", "alice"), (seen with { Offset = 3 }, "insert 3", null)],
            history.Publications.Select(Change.Of).Select(change => (change.Message.Position, change.ToString(), change.Actor)));
        Assert.Equal(seen with { Offset = 3 }, history.Position);

        await restarted.WriteAsync("INSERT INTO t (v) VALUES (4)");
        Assert.Equal(seen with { Offset = 4 }, (await restarted.NextAsync()).Message.Position);
    }

    [Fact]
    public async Task History_and_announcements_meet_without_a_gap_whenever_one_subscribes()
    {
        // Committed while nobody followed, between the start and the first look, and afterwards: each is in the history or announced.
        await using var hub = await LiveDatabase.StartAsync(Schema, "t");
        var start = await hub.PositionAsync("t");
        await hub.KillAsync();
        var writing = Task.Run(async () =>
        {
            for (var n = 0; n < 100; n++) await hub.WriteAsync("INSERT INTO t (v) VALUES (@n)", new { n });
        }, Ct);
        await LiveDatabase.UntilAsync(async () => (await hub.PositionAsync("t")).Offset > 10, "some writes");
        await using var restarted = await hub.StartAnotherAsync();
        var history = await restarted.HistoryAsync("t", start);
        await writing;

        Assert.True(history.Recovered);
        var next = history.Position.Offset;
        while (next < 100)
        {
            var offset = (await restarted.NextAsync()).Message.Position.Offset;
            if (offset <= next) continue;   // as Live does: repeats are dropped
            Assert.Equal(++next, offset);
        }
    }

    [Fact]
    public async Task Positions_that_cannot_be_served_are_not_recovered()
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, "t");
        for (var n = 0; n < 5; n++) await hub.WriteAsync("INSERT INTO t (v) VALUES (@n)", new { n });
        var now = await hub.PositionAsync("t");

        Assert.Equal(5, now.Offset);
        Assert.Equal(5, (await hub.HistoryAsync("t", now with { Offset = 0 }, limit: 5)).Publications.Count);
        Assert.True((await hub.HistoryAsync("t", now)).Recovered);
        foreach (var (since, limit) in new (Position?, int)[] { (now with { Offset = 0 }, 4), (now with { Epoch = "other" }, 100), (now with { Offset = -1 }, 100), (null, 100) })
        {
            var history = await hub.HistoryAsync("t", since, limit);
            Assert.False(history.Recovered);
            Assert.Empty(history.Publications);
            Assert.Equal(now, history.Position);
        }
    }

    [Fact]
    public async Task A_position_ahead_of_the_log_is_not_recovered_and_begins_no_epoch()
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, "t");
        await hub.WriteAsync("INSERT INTO t (v) VALUES (1)");
        await hub.NextAsync();
        var now = await hub.PositionAsync("t");
        foreach (var claim in new[] { now with { Offset = now.Offset + 1 }, now with { Offset = long.MaxValue } })
        {
            var history = await hub.HistoryAsync("t", claim);
            Assert.False(history.Recovered);
            Assert.Equal(now, history.Position);
        }
        await hub.WriteAsync("INSERT INTO t (v) VALUES (2)");
        Assert.Equal(now with { Offset = 2 }, (await hub.NextAsync()).Message.Position);
        Assert.False(hub.AnyNewEpoch);
    }

    [Fact]
    public async Task A_backup_restored_under_our_feet_begins_new_epochs()
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, "t");
        await hub.WriteAsync("INSERT INTO t (v) VALUES ('in the backup')");
        var backedUp = (await hub.NextAsync()).Message.Position;
        var backup = hub.Db.Path + ".backup";
        await hub.Sqlite3Async($".backup \"{backup}\"");
        await hub.WriteAsync("INSERT INTO t (v) VALUES ('lost')");
        var lost = (await hub.NextAsync()).Message.Position;

        await hub.Sqlite3Async($".restore \"{backup}\"\nINSERT INTO t (v) VALUES ('another'); INSERT INTO t (v) VALUES ('and one more');");

        var (_, position) = await hub.NextNewEpochAsync();
        Assert.NotEqual(backedUp.Epoch, position.Epoch);
        Assert.False((await hub.HistoryAsync("t", backedUp)).Recovered);
        Assert.False((await hub.HistoryAsync("t", lost)).Recovered);
        await hub.WriteAsync("INSERT INTO t (v) VALUES ('after')");
        Change change;
        do change = await hub.NextAsync();
        while (change.Row?.GetProperty("v").GetString() != "after");
        Assert.NotEqual(backedUp.Epoch, change.Message.Position.Epoch);
    }

    [Fact]
    public async Task A_backup_restored_while_the_server_was_stopped_begins_new_epochs_whatever_was_written_since()
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, "t");
        await hub.WriteAsync("INSERT INTO t (v) VALUES ('in the backup')");
        await hub.NextAsync();
        var backup = hub.Db.Path + ".backup";
        await hub.Sqlite3Async($".backup \"{backup}\"");
        await hub.WriteAsync("INSERT INTO t (v) VALUES ('lost')");
        var lost = (await hub.NextAsync()).Message.Position;
        await hub.KillAsync();

        // More is written than was lost: no position is ahead of the log any more.
        await hub.Sqlite3Async($".restore \"{backup}\"\nINSERT INTO t (v) VALUES (1); INSERT INTO t (v) VALUES (2); INSERT INTO t (v) VALUES (3);");

        await using var again = await hub.StartAnotherAsync();
        var history = await again.HistoryAsync("t", lost);
        Assert.False(history.Recovered);
        Assert.NotEqual(lost.Epoch, history.Position.Epoch);
    }

    [Fact]
    public async Task A_server_that_starts_again_on_its_own_file_keeps_its_epochs()
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, "t");
        await hub.WriteAsync("INSERT INTO t (v) VALUES (1)");
        var seen = (await hub.NextAsync()).Message.Position;
        await hub.KillAsync();
        await hub.Sqlite3Async("INSERT INTO t (v) VALUES (2);");

        await using var again = await hub.StartAnotherAsync();
        Assert.True((await again.HistoryAsync("t", seen)).Recovered);
    }

    [Fact]
    public async Task A_file_replaced_by_another_is_followed_and_a_deleted_one_is_survived()
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, "t");
        await hub.WriteAsync("INSERT INTO t (v) VALUES (1)");
        var before = (await hub.NextAsync()).Message.Position;

        foreach (var file in new[] { hub.Db.Path, hub.Db.Path + "-wal", hub.Db.Path + "-shm" }) File.Delete(file);
        await hub.Sqlite3Async(Schema + ";");

        await hub.NextNewEpochAsync();
        await LiveDatabase.UntilAsync(async () => await hub.ScalarAsync<long>("SELECT count(*) FROM sqlite_master WHERE name = 'carillon_after_insert_t'") == 1, "triggers in the new file");
        await hub.Sqlite3Async("INSERT INTO t (v) VALUES (2);");
        Assert.Equal("insert 1", (await hub.NextAsync()).ToString());
        Assert.False((await hub.HistoryAsync("t", before)).Recovered);
    }

    [Fact]
    public async Task A_file_replaced_by_one_with_a_bad_table_is_followed_without_that_table()
    {
        await using var hub = await LiveDatabase.StartAsync(Schema + "; CREATE TABLE done (id INTEGER PRIMARY KEY)", "t", "done");
        foreach (var file in new[] { hub.Db.Path, hub.Db.Path + "-wal", hub.Db.Path + "-shm" }) File.Delete(file);
        await hub.Sqlite3Async("CREATE TABLE done (id INTEGER PRIMARY KEY); CREATE VIEW t AS SELECT 1 AS id;");

        await LiveDatabase.UntilAsync(async () => await hub.ScalarAsync<long>("SELECT count(*) FROM sqlite_master WHERE name = 'carillon_after_insert_done'") == 1, "triggers in the new file");
        await hub.RawAsync("INSERT INTO done DEFAULT VALUES");
        Assert.Equal("insert 1", (await hub.NextAsync()).ToString());
        Assert.False((await hub.HistoryAsync("t", null)).Recovered);
        Assert.Contains("Table t is not live", hub.Tables.Warning, StringComparison.Ordinal);
        Assert.Null(hub.Pump.Trouble);

        await hub.RawAsync("DROP VIEW t; CREATE TABLE t (id INTEGER PRIMARY KEY)");
        await LiveDatabase.UntilAsync(() => Task.FromResult(hub.Tables.Warning is null), "the table is live again");
    }

    [Fact]
    public async Task A_bad_table_stops_the_start_only_where_it_is_found_in_time()
    {
        var folder = Directory.CreateTempSubdirectory("carillon-");
        await using (var before = await LiveDatabase.StartAtAsync(folder)) await before.RawAsync("CREATE TABLE done (id INTEGER PRIMARY KEY); CREATE VIEW t AS SELECT 1 AS id");
        await Assert.ThrowsAsync<InvalidOperationException>(() => LiveDatabase.StartAtAsync(folder, "t", "done"));

        var locked = await ForeignLock.TakeAsync(Path.Combine(folder.FullName, "shop's database.db"));
        await using var hub = await LiveDatabase.StartAtAsync(folder, "t", "done");      // gives up waiting
        await locked.DisposeAsync();
        await LiveDatabase.UntilAsync(async () => await hub.ScalarAsync<long>("SELECT count(*) FROM sqlite_master WHERE name = 'carillon_after_insert_done'") == 1, "triggers");
        await hub.RawAsync("INSERT INTO done DEFAULT VALUES");
        Assert.Equal("insert 1", (await hub.NextAsync()).ToString());
        Assert.Contains("Table t is not live", hub.Tables.Warning, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Readiness_names_a_table_that_cannot_be_live_and_a_database_that_cannot_be_followed()
    {
        await using var app = await TestApp.StartAsync(options => options.Changes.Tables.Add("t"));
        Assert.Equal(HealthStatus.Healthy, (await CheckAsync()).Status);
        await using (var own = await app.Database.OpenOwnAsync(Ct)) await own.ExecuteAsync("CREATE VIEW t AS SELECT 1 AS id");
        app.Database.NotifyCommitted();
        await Wait.UntilAsync(async () => await CheckAsync() is { Status: HealthStatus.Degraded, Description: var why } && why!.Contains("\"t\" is a view", StringComparison.Ordinal));
        using (app.HideDatabase())
            await Wait.UntilAsync(async () => await CheckAsync() is { Status: HealthStatus.Unhealthy, Description: var why } && why!.Contains("cannot be followed", StringComparison.Ordinal));

        async Task<HealthReportEntry> CheckAsync() => (await app.Get<HealthCheckService>().CheckHealthAsync(Ct)).Entries["changes"];
    }

    [Fact]
    public async Task Only_another_file_is_taken_for_another_file()
    {
        // A checkpoint writes to the database file; the pump once took it for a new one and paused for 100 ms every few hundred sales.
        await using var hub = await LiveDatabase.StartAsync(Schema, "t");
        await using var connection = (SqliteConnection)await hub.Db.OpenReadAsync(Ct);
        Assert.False(Database.HasMoved(connection));
        await hub.RawAsync("INSERT INTO t (v) VALUES (1); PRAGMA wal_checkpoint(TRUNCATE)");
        Assert.False(Database.HasMoved(connection));
        File.Copy(hub.Db.Path, hub.Db.Path + ".copy");
        File.Move(hub.Db.Path + ".copy", hub.Db.Path, overwrite: true);
        Assert.True(Database.HasMoved(connection));
    }

    [Fact]
    public async Task Pruning_by_count_keeps_the_newest_and_says_that_older_ones_are_gone()
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, Options(keepCount: 10));
        for (var n = 0; n < 30; n++) await hub.WriteAsync("INSERT INTO t (v) VALUES (@n)", new { n });
        await hub.NextAsync(30);
        await LiveDatabase.UntilAsync(async () => await hub.ScalarAsync<long>("SELECT count(*) FROM carillon_changes") == 10, "ten left");

        var now = await hub.PositionAsync("t");
        Assert.Equal(30, now.Offset);
        Assert.True((await hub.HistoryAsync("t", now with { Offset = 20 })).Recovered);
        Assert.False((await hub.HistoryAsync("t", now with { Offset = 19 })).Recovered);
        await hub.WriteAsync("INSERT INTO t (v) VALUES (31)");
        Assert.Equal(now with { Offset = 31 }, (await hub.NextAsync()).Message.Position);
        Assert.False(hub.AnyNewEpoch);
    }

    [Fact]
    public async Task Pruning_by_age_may_empty_the_log_and_the_count_goes_on_after_a_restart_too()
    {
        var options = Options(keepFor: TimeSpan.FromMilliseconds(1));
        await using var hub = await LiveDatabase.StartAsync(Schema, options);
        for (var n = 0; n < 1200; n += 400) await hub.WriteAsync(string.Concat(Enumerable.Repeat("INSERT INTO t (v) VALUES (0);", 400)));
        await hub.NextAsync(1200);
        await LiveDatabase.UntilAsync(async () => await hub.ScalarAsync<long>("SELECT count(*) FROM carillon_changes") == 0, "an empty log");

        var now = await hub.PositionAsync("t");
        Assert.Equal(1200, now.Offset);
        Assert.True((await hub.HistoryAsync("t", now)).Recovered);
        Assert.False((await hub.HistoryAsync("t", now with { Offset = 1199 })).Recovered);

        await hub.KillAsync();
        await using var restarted = await hub.StartAnotherAsync();
        await restarted.WriteAsync("INSERT INTO t (v) VALUES (1)");
        Assert.Equal(now with { Offset = 1201 }, (await restarted.NextAsync()).Message.Position);
        Assert.False(restarted.AnyNewEpoch);
    }

    [Fact]
    public async Task Past_epochs_are_pruned_away()
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, Options());
        await hub.WriteAsync("INSERT INTO t (v) VALUES (1)");
        await hub.NextAsync();
        await hub.RawAsync("DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY)");
        await hub.NextNewEpochAsync();
        await LiveDatabase.UntilAsync(async () => await hub.ScalarAsync<long>("SELECT count(*) FROM carillon_changes") == 0, "an empty log");
    }

    [Fact]
    public async Task Rows_of_a_past_epoch_are_not_announced()
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, "t");
        await hub.WriteAsync("INSERT INTO t (v) VALUES (1)");
        var seen = (await hub.NextAsync()).Message.Position;
        // One commit, so that the pump sees all of it at once: a row of the old epoch, the new epoch, a row of that.
        await hub.RawAsync("""
            BEGIN IMMEDIATE;
            INSERT INTO t (v) VALUES (2);
            UPDATE carillon_tables SET epoch = 'new', last_offset = 0, pruned_through = 0;
            INSERT INTO t (v) VALUES (3);
            COMMIT;
            """);
        var next = await hub.NextAsync();
        Assert.Equal(("insert 3", new Position("new", 1)), (next.ToString(), next.Message.Position));
        Assert.Equal(("t", new Position("new", 1)), await hub.NextNewEpochAsync());
        Assert.False((await hub.HistoryAsync("t", seen)).Recovered);
    }

    [Fact]
    public async Task Rows_missing_from_the_log_are_never_called_recovered()
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, "t");
        var start = await hub.PositionAsync("t");
        for (var n = 0; n < 3; n++) await hub.WriteAsync("INSERT INTO t (v) VALUES (@n)", new { n });
        await hub.RawAsync("DELETE FROM carillon_changes WHERE offset = 2");
        Assert.False((await hub.HistoryAsync("t", start)).Recovered);
    }

    [Fact]
    public async Task The_pump_waits_out_a_locked_database()
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, "t");
        await hub.Sqlite3Async("BEGIN EXCLUSIVE; INSERT INTO t (v) VALUES (1);\n.shell sleep 0.4\nCOMMIT;");
        Assert.Equal("insert 1", (await hub.NextAsync()).ToString());
    }

    [Fact]
    public async Task The_pump_outlives_a_subscriber_that_throws()
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, "t");
        var failed = false;
        hub.Db.Committed += () => { };
        hub.Layer.OnMessage(_ =>
        {
            if (failed) return;
            failed = true;
            throw new InvalidOperationException("a bug elsewhere");
        });
        await hub.WriteAsync("INSERT INTO t (v) VALUES (1)");
        await LiveDatabase.UntilAsync(() => Task.FromResult(failed), "the throw");
        Assert.False(hub.Pump.ExecuteTask!.IsCompleted);
    }

    [Fact]
    public void A_cutoff_beyond_the_beginning_of_time_keeps_everything() =>
        Assert.Equal("1970-01-01T00:00:00.000Z", ChangeLog.Cutoff(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero), TimeSpan.MaxValue));
}
