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
        KeepCount = keepCount,
        KeepFor = keepFor ?? TimeSpan.FromDays(7),
        PollInterval = TimeSpan.FromMilliseconds(20),
        PruneEvery = TimeSpan.FromMilliseconds(pruneEveryMilliseconds),
    };

    [Fact]
    public async Task What_was_committed_before_a_kill_and_not_announced_is_in_the_history_after_it()
    {
        await using var live = await LiveDatabase.StartAsync(Schema, "t");
        await live.WriteAsync("INSERT INTO t (v) VALUES (1)");
        var seen = (await live.NextAsync()).Message.Position;

        await live.KillAsync();
        await live.WriteAsync("INSERT INTO t (v) VALUES (2)", actor: "alice");
        await live.Sqlite3Async("INSERT INTO t (v) VALUES (3);");
        await using var restarted = await live.StartAnotherAsync();

        var history = await restarted.HistoryAsync("t", seen);
        Assert.True(history.Recovered);
        Assert.Equal([(seen with { Offset = 2 }, "insert 2", "alice"), (seen with { Offset = 3 }, "insert 3", null)],
            history.Messages.Select(Change.Of).Select(change => (change.Message.Position, change.ToString(), change.Actor)));
        Assert.Equal(seen with { Offset = 3 }, history.Position);

        await restarted.WriteAsync("INSERT INTO t (v) VALUES (4)");
        Assert.Equal(seen with { Offset = 4 }, (await restarted.NextAsync()).Message.Position);
    }

    [Fact]
    public async Task History_and_announcements_meet_without_a_gap_whenever_one_subscribes()
    {
        // Committed while nobody followed, between the start and the first look, and afterwards: each is in the history or announced.
        await using var live = await LiveDatabase.StartAsync(Schema, "t");
        var start = await live.PositionAsync("t");
        await live.KillAsync();
        var writing = Task.Run(async () =>
        {
            for (var n = 0; n < 100; n++) await live.WriteAsync("INSERT INTO t (v) VALUES (@n)", new { n });
        }, Ct);
        await LiveDatabase.UntilAsync(async () => (await live.PositionAsync("t")).Offset > 10, "some writes");
        await using var restarted = await live.StartAnotherAsync();
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
        await using var live = await LiveDatabase.StartAsync(Schema, "t");
        for (var n = 0; n < 5; n++) await live.WriteAsync("INSERT INTO t (v) VALUES (@n)", new { n });
        var now = await live.PositionAsync("t");

        Assert.Equal(5, now.Offset);
        Assert.Equal(5, (await live.HistoryAsync("t", now with { Offset = 0 }, limit: 5)).Messages.Count);
        Assert.True((await live.HistoryAsync("t", now)).Recovered);
        foreach (var (since, limit) in new (Position?, int)[] { (now with { Offset = 0 }, 4), (now with { Epoch = "other" }, 100), (now with { Offset = -1 }, 100), (null, 100) })
        {
            var history = await live.HistoryAsync("t", since, limit);
            Assert.False(history.Recovered);
            Assert.Empty(history.Messages);
            Assert.Equal(now, history.Position);
        }
    }

    [Fact]
    public async Task A_position_ahead_of_the_log_is_not_recovered_and_begins_no_epoch()
    {
        await using var live = await LiveDatabase.StartAsync(Schema, "t");
        await live.WriteAsync("INSERT INTO t (v) VALUES (1)");
        await live.NextAsync();
        var now = await live.PositionAsync("t");
        foreach (var claim in new[] { now with { Offset = now.Offset + 1 }, now with { Offset = long.MaxValue } })
        {
            var history = await live.HistoryAsync("t", claim);
            Assert.False(history.Recovered);
            Assert.Equal(now, history.Position);
        }
        await live.WriteAsync("INSERT INTO t (v) VALUES (2)");
        Assert.Equal(now with { Offset = 2 }, (await live.NextAsync()).Message.Position);
        Assert.False(live.AnyNewEpoch);
    }

    [Fact]
    public async Task A_backup_restored_under_our_feet_begins_new_epochs()
    {
        await using var live = await LiveDatabase.StartAsync(Schema, "t");
        await live.WriteAsync("INSERT INTO t (v) VALUES ('in the backup')");
        var backedUp = (await live.NextAsync()).Message.Position;
        var backup = live.Db.Path + ".backup";
        await live.Sqlite3Async($".backup \"{backup}\"");
        await live.WriteAsync("INSERT INTO t (v) VALUES ('lost')");
        var lost = (await live.NextAsync()).Message.Position;

        await live.Sqlite3Async($".restore \"{backup}\"\nINSERT INTO t (v) VALUES ('another'); INSERT INTO t (v) VALUES ('and one more');");

        var (_, position) = await live.NextNewEpochAsync();
        Assert.NotEqual(backedUp.Epoch, position.Epoch);
        Assert.False((await live.HistoryAsync("t", backedUp)).Recovered);
        Assert.False((await live.HistoryAsync("t", lost)).Recovered);
        await live.WriteAsync("INSERT INTO t (v) VALUES ('after')");
        Change change;
        do change = await live.NextAsync();
        while (change.Row?.GetProperty("v").GetString() != "after");
        Assert.NotEqual(backedUp.Epoch, change.Message.Position.Epoch);
    }

    [Fact]
    public async Task A_backup_restored_while_the_server_was_stopped_begins_new_epochs_whatever_was_written_since()
    {
        await using var live = await LiveDatabase.StartAsync(Schema, "t");
        await live.WriteAsync("INSERT INTO t (v) VALUES ('in the backup')");
        await live.NextAsync();
        var backup = live.Db.Path + ".backup";
        await live.Sqlite3Async($".backup \"{backup}\"");
        await live.WriteAsync("INSERT INTO t (v) VALUES ('lost')");
        var lost = (await live.NextAsync()).Message.Position;
        await live.KillAsync();

        // More is written than was lost: no position is ahead of the log any more.
        await live.Sqlite3Async($".restore \"{backup}\"\nINSERT INTO t (v) VALUES (1); INSERT INTO t (v) VALUES (2); INSERT INTO t (v) VALUES (3);");

        await using var again = await live.StartAnotherAsync();
        var history = await again.HistoryAsync("t", lost);
        Assert.False(history.Recovered);
        Assert.NotEqual(lost.Epoch, history.Position.Epoch);
    }

    [Fact]
    public async Task A_server_that_starts_again_on_its_own_file_keeps_its_epochs()
    {
        await using var live = await LiveDatabase.StartAsync(Schema, "t");
        await live.WriteAsync("INSERT INTO t (v) VALUES (1)");
        var seen = (await live.NextAsync()).Message.Position;
        await live.KillAsync();
        await live.Sqlite3Async("INSERT INTO t (v) VALUES (2);");

        await using var again = await live.StartAnotherAsync();
        Assert.True((await again.HistoryAsync("t", seen)).Recovered);
    }

    [Fact]
    public async Task A_file_replaced_by_another_is_followed_and_a_deleted_one_is_survived()
    {
        await using var live = await LiveDatabase.StartAsync(Schema, "t");
        await live.WriteAsync("INSERT INTO t (v) VALUES (1)");
        var before = (await live.NextAsync()).Message.Position;

        foreach (var file in new[] { live.Db.Path, live.Db.Path + "-wal", live.Db.Path + "-shm" }) File.Delete(file);
        await live.Sqlite3Async(Schema + ";");

        await live.NextNewEpochAsync();
        await LiveDatabase.UntilAsync(async () => await live.ScalarAsync<long>("SELECT count(*) FROM sqlite_master WHERE name = 'carillon_after_insert_t'") == 1, "triggers in the new file");
        await live.Sqlite3Async("INSERT INTO t (v) VALUES (2);");
        Assert.Equal("insert 1", (await live.NextAsync()).ToString());
        Assert.False((await live.HistoryAsync("t", before)).Recovered);
    }

    [Fact]
    public async Task A_file_replaced_by_one_with_a_bad_table_is_followed_without_that_table()
    {
        await using var live = await LiveDatabase.StartAsync(Schema + "; CREATE TABLE done (id INTEGER PRIMARY KEY)", "t", "done");
        foreach (var file in new[] { live.Db.Path, live.Db.Path + "-wal", live.Db.Path + "-shm" }) File.Delete(file);
        await live.Sqlite3Async("CREATE TABLE done (id INTEGER PRIMARY KEY); CREATE VIEW t AS SELECT 1 AS id;");

        await LiveDatabase.UntilAsync(async () => await live.ScalarAsync<long>("SELECT count(*) FROM sqlite_master WHERE name = 'carillon_after_insert_done'") == 1, "triggers in the new file");
        await live.RawAsync("INSERT INTO done DEFAULT VALUES");
        Assert.Equal("insert 1", (await live.NextAsync()).ToString());
        Assert.False((await live.HistoryAsync("t", null)).Recovered);
        Assert.Contains("Table t is not live", live.Tables.Warning, StringComparison.Ordinal);
        Assert.Null(live.Pump.Trouble);

        await live.RawAsync("DROP VIEW t; CREATE TABLE t (id INTEGER PRIMARY KEY)");
        await LiveDatabase.UntilAsync(() => Task.FromResult(live.Tables.Warning is null), "the table is live again");
    }

    [Fact]
    public async Task A_bad_table_stops_the_start_only_where_it_is_found_in_time()
    {
        var folder = Directory.CreateTempSubdirectory("carillon-");
        await using (var before = await LiveDatabase.StartAtAsync(folder)) await before.RawAsync("CREATE TABLE done (id INTEGER PRIMARY KEY); CREATE VIEW t AS SELECT 1 AS id");
        await Assert.ThrowsAsync<InvalidOperationException>(() => LiveDatabase.StartAtAsync(folder, "t", "done"));

        var locked = await ForeignLock.TakeAsync(Path.Combine(folder.FullName, "shop's database.db"));
        await using var live = await LiveDatabase.StartAtAsync(folder, "t", "done");      // gives up waiting
        await locked.DisposeAsync();
        await LiveDatabase.UntilAsync(async () => await live.ScalarAsync<long>("SELECT count(*) FROM sqlite_master WHERE name = 'carillon_after_insert_done'") == 1, "triggers");
        await live.RawAsync("INSERT INTO done DEFAULT VALUES");
        Assert.Equal("insert 1", (await live.NextAsync()).ToString());
        Assert.Contains("Table t is not live", live.Tables.Warning, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Readiness_names_a_table_that_cannot_be_live_and_a_database_that_cannot_be_followed()
    {
        await using var app = await TestApp.StartAsync(options => options.Changes.Tables.Add("t"));
        Assert.Equal(HealthStatus.Healthy, (await CheckAsync()).Status);
        await using (var own = await app.Database.OpenOwnAsync(Ct)) await own.ExecuteAsync("CREATE VIEW t AS SELECT 1 AS id");
        app.Database.LookNow();
        await Wait.UntilAsync(async () => await CheckAsync() is { Status: HealthStatus.Degraded, Description: var why } && why!.Contains("\"t\" is a view", StringComparison.Ordinal));
        using (app.HideDatabase())
            await Wait.UntilAsync(async () => await CheckAsync() is { Status: HealthStatus.Unhealthy, Description: var why } && why!.Contains("cannot be followed", StringComparison.Ordinal));

        async Task<HealthReportEntry> CheckAsync() => (await app.Get<HealthCheckService>().CheckHealthAsync(Ct)).Entries["changes"];
    }

    [Fact]
    public async Task Only_another_file_is_taken_for_another_file()
    {
        // A checkpoint writes to the database file; the pump once took it for a new one and paused for 100 ms every few hundred sales.
        await using var live = await LiveDatabase.StartAsync(Schema, "t");
        await using var connection = (SqliteConnection)await live.Db.OpenReadAsync(Ct);
        Assert.False(Database.HasMoved(connection));
        await live.RawAsync("INSERT INTO t (v) VALUES (1); PRAGMA wal_checkpoint(TRUNCATE)");
        Assert.False(Database.HasMoved(connection));
        File.Copy(live.Db.Path, live.Db.Path + ".copy");
        File.Move(live.Db.Path + ".copy", live.Db.Path, overwrite: true);
        Assert.True(Database.HasMoved(connection));
    }

    [Fact]
    public async Task Pruning_by_count_keeps_the_newest_and_says_that_older_ones_are_gone()
    {
        await using var live = await LiveDatabase.StartAsync(Schema, Options(keepCount: 10));
        for (var n = 0; n < 30; n++) await live.WriteAsync("INSERT INTO t (v) VALUES (@n)", new { n });
        await live.NextAsync(30);
        await LiveDatabase.UntilAsync(async () => await live.ScalarAsync<long>("SELECT count(*) FROM carillon_changes") == 10, "ten left");

        var now = await live.PositionAsync("t");
        Assert.Equal(30, now.Offset);
        Assert.True((await live.HistoryAsync("t", now with { Offset = 20 })).Recovered);
        Assert.False((await live.HistoryAsync("t", now with { Offset = 19 })).Recovered);
        await live.WriteAsync("INSERT INTO t (v) VALUES (31)");
        Assert.Equal(now with { Offset = 31 }, (await live.NextAsync()).Message.Position);
        Assert.False(live.AnyNewEpoch);
    }

    [Fact]
    public async Task Pruning_by_age_may_empty_the_log_and_the_count_goes_on_after_a_restart_too()
    {
        var options = Options(keepFor: TimeSpan.FromMilliseconds(1));
        await using var live = await LiveDatabase.StartAsync(Schema, options);
        for (var n = 0; n < 1200; n += 400) await live.WriteAsync(string.Concat(Enumerable.Repeat("INSERT INTO t (v) VALUES (0);", 400)));
        await live.NextAsync(1200);
        await LiveDatabase.UntilAsync(async () => await live.ScalarAsync<long>("SELECT count(*) FROM carillon_changes") == 0, "an empty log");

        var now = await live.PositionAsync("t");
        Assert.Equal(1200, now.Offset);
        Assert.True((await live.HistoryAsync("t", now)).Recovered);
        Assert.False((await live.HistoryAsync("t", now with { Offset = 1199 })).Recovered);

        await live.KillAsync();
        await using var restarted = await live.StartAnotherAsync();
        await restarted.WriteAsync("INSERT INTO t (v) VALUES (1)");
        Assert.Equal(now with { Offset = 1201 }, (await restarted.NextAsync()).Message.Position);
        Assert.False(restarted.AnyNewEpoch);
    }

    [Fact]
    public async Task Past_epochs_are_pruned_away()
    {
        await using var live = await LiveDatabase.StartAsync(Schema, Options());
        await live.WriteAsync("INSERT INTO t (v) VALUES (1)");
        await live.NextAsync();
        await live.RawAsync("DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY)");
        await live.NextNewEpochAsync();
        await LiveDatabase.UntilAsync(async () => await live.ScalarAsync<long>("SELECT count(*) FROM carillon_changes") == 0, "an empty log");
    }

    [Fact]
    public async Task Rows_of_a_past_epoch_are_not_announced()
    {
        await using var live = await LiveDatabase.StartAsync(Schema, "t");
        await live.WriteAsync("INSERT INTO t (v) VALUES (1)");
        var seen = (await live.NextAsync()).Message.Position;
        // One commit, so that the pump sees all of it at once: a row of the old epoch, the new epoch, a row of that.
        await live.RawAsync("""
            BEGIN IMMEDIATE;
            INSERT INTO t (v) VALUES (2);
            UPDATE carillon_tables SET epoch = 'new', last_offset = 0, pruned_through = 0;
            INSERT INTO t (v) VALUES (3);
            COMMIT;
            """);
        var next = await live.NextAsync();
        Assert.Equal(("insert 3", new Position("new", 1)), (next.ToString(), next.Message.Position));
        Assert.Equal(("t", new Position("new", 1)), await live.NextNewEpochAsync());
        Assert.False((await live.HistoryAsync("t", seen)).Recovered);
    }

    [Fact]
    public async Task Rows_missing_from_the_log_are_never_called_recovered()
    {
        await using var live = await LiveDatabase.StartAsync(Schema, "t");
        var start = await live.PositionAsync("t");
        for (var n = 0; n < 3; n++) await live.WriteAsync("INSERT INTO t (v) VALUES (@n)", new { n });
        await live.RawAsync("DELETE FROM carillon_changes WHERE offset = 2");
        Assert.False((await live.HistoryAsync("t", start)).Recovered);
    }

    [Fact]
    public async Task The_pump_waits_out_a_locked_database()
    {
        await using var live = await LiveDatabase.StartAsync(Schema, "t");
        await live.Sqlite3Async("BEGIN EXCLUSIVE; INSERT INTO t (v) VALUES (1);\n.shell sleep 0.4\nCOMMIT;");
        Assert.Equal("insert 1", (await live.NextAsync()).ToString());
    }

    [Fact]
    public async Task The_pump_outlives_a_subscriber_that_throws()
    {
        await using var live = await LiveDatabase.StartAsync(Schema, "t");
        var failed = false;
        live.Db.Committed += () => { };
        live.Layer.OnMessage(_ =>
        {
            if (failed) return;
            failed = true;
            throw new InvalidOperationException("a bug elsewhere");
        });
        await live.WriteAsync("INSERT INTO t (v) VALUES (1)");
        await LiveDatabase.UntilAsync(() => Task.FromResult(failed), "the throw");
        Assert.False(live.Pump.ExecuteTask!.IsCompleted);
    }

    [Fact]
    public void A_cutoff_beyond_the_beginning_of_time_keeps_everything() =>
        Assert.Equal("1970-01-01T00:00:00.000Z", ChangeLog.Cutoff(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero), TimeSpan.MaxValue));
}
