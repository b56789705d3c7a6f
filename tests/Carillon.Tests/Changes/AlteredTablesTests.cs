using Carillon.Channels;
using Microsoft.Data.Sqlite;

namespace Carillon.Tests.Changes;

public sealed class AlteredTablesTests
{
    const string Schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT); CREATE TABLE done (id INTEGER PRIMARY KEY)";

    static CancellationToken Ct => TestContext.Current.CancellationToken;

    static Task<LiveDatabase> StartAsync(string schema = Schema) => LiveDatabase.StartAsync(schema, "t", "done");

    static Task WatchedAsync(LiveDatabase hub, string column) => LiveDatabase.UntilAsync(
        async () => await hub.ScalarAsync<long>($"SELECT count(*) FROM sqlite_master WHERE name = 'carillon_after_insert_t' AND sql LIKE '%''{column}''%'") == 1, $"a trigger that tells {column}");

    [Fact]
    public async Task A_column_that_is_added_is_told_and_no_history_is_lost()
    {
        await using var hub = await StartAsync();
        var start = await hub.PositionAsync("t");
        await hub.Sqlite3Async("ALTER TABLE t ADD COLUMN c TEXT; INSERT INTO t (c) VALUES ('early'); UPDATE t SET c = 'at once';");
        await WatchedAsync(hub, "c");
        await hub.Sqlite3Async("INSERT INTO t (c) VALUES ('late');");

        Assert.Equal(["insert 1", "update 1"], await hub.NextAsync(2));
        var late = await hub.NextAsync();
        Assert.Equal("late", late.Row?.GetProperty("c").GetString());
        Assert.Equal(start.Epoch, late.Message.Position.Epoch);
        Assert.True((await hub.HistoryAsync("t", start)).Recovered);
        Assert.False(hub.AnyNewEpoch);
    }

    [Fact]
    public async Task A_table_that_cannot_be_watched_any_more_stops_no_other()
    {
        await using var hub = await StartAsync();
        await using (var application = new SqliteConnection($"Data Source={hub.Db.Path};Pooling=False"))
        {
            await application.OpenAsync(Ct);
            application.CreateCollation("german", string.CompareOrdinal);
            await using var command = application.CreateCommand();
            // SQLite can compile our triggers on it no more, because only the application knows the collation.
            command.CommandText = "DROP TABLE t; CREATE TABLE t (id TEXT COLLATE german PRIMARY KEY); INSERT INTO t VALUES ('unseen')";
            await command.ExecuteNonQueryAsync(Ct);
        }
        Assert.Equal("t", (await hub.NextNewEpochAsync()).Table);
        await hub.RawAsync("INSERT INTO done DEFAULT VALUES");
        Assert.Equal("insert 1", (await hub.NextAsync()).ToString());
        Assert.Equal(0, await hub.ScalarAsync<long>("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 't'"));

        // It is checked again at each change of the schema, and logged once.
        for (var i = 2; i < 6; i++)
        {
            await hub.RawAsync($"CREATE TABLE other{i} (id); INSERT INTO done DEFAULT VALUES");
            Assert.Equal($"insert {i}", (await hub.NextAsync()).ToString());
        }
        Assert.Single(hub.Logged.At(Microsoft.Extensions.Logging.LogLevel.Error));
    }

    [Fact]
    public async Task A_column_that_is_renamed_is_told_by_its_new_name()
    {
        await using var hub = await StartAsync();
        await hub.Sqlite3Async("ALTER TABLE t RENAME COLUMN b TO \"the new\";");
        await WatchedAsync(hub, "the new");
        await hub.RawAsync("INSERT INTO t (\"the new\") VALUES ('x')");
        Assert.Equal(["id", "a", "the new"], (await hub.NextAsync()).Columns);
        Assert.False(hub.AnyNewEpoch);
    }

    [Fact]
    public async Task A_table_that_is_dropped_and_made_again_begins_a_new_epoch()
    {
        await using var hub = await StartAsync();
        var before = await hub.PositionAsync("t");
        await hub.Sqlite3Async("DROP TABLE t; CREATE TABLE t (k TEXT PRIMARY KEY); INSERT INTO t VALUES ('unseen');");

        var (table, position) = await hub.NextNewEpochAsync();
        Assert.Equal("t", table);
        Assert.NotEqual(before.Epoch, position.Epoch);
        Assert.False((await hub.HistoryAsync("t", before)).Recovered);

        await hub.Sqlite3Async("INSERT INTO t VALUES ('seen');");
        var seen = await hub.NextAsync();
        Assert.Equal("insert seen", seen.ToString());
        Assert.Equal(new Position(position.Epoch, 1), seen.Message.Position);
    }

    [Fact]
    public async Task The_twelve_steps_of_a_migration_are_survived()
    {
        await using var hub = await StartAsync();
        await hub.RawAsync("INSERT INTO t (a) VALUES ('kept')");
        await hub.NextAsync();
        await hub.Sqlite3Async("BEGIN; CREATE TABLE t_new (id INTEGER PRIMARY KEY, a TEXT NOT NULL); INSERT INTO t_new SELECT id, a FROM t; DROP TABLE t; ALTER TABLE t_new RENAME TO t; COMMIT;");
        await hub.NextNewEpochAsync();
        await hub.RawAsync("UPDATE t SET a = 'changed'");
        Assert.Equal("update 1", (await hub.NextAsync()).ToString());
    }

    [Fact]
    public async Task A_table_that_is_dropped_for_good_says_so_by_a_new_epoch_and_lives_again_when_it_is_there()
    {
        await using var hub = await StartAsync();
        await hub.RawAsync("DROP TABLE t");
        await hub.NextNewEpochAsync();
        Assert.Equal(0, (await hub.PositionAsync("t")).Offset);

        await hub.RawAsync("CREATE TABLE t (id INTEGER PRIMARY KEY, z)");
        await hub.NextNewEpochAsync();
        await WatchedAsync(hub, "z");
        await hub.RawAsync("INSERT INTO t (z) VALUES (1)");
        Assert.Equal("insert 1", (await hub.NextAsync()).ToString());
    }

    [Fact]
    public async Task A_table_that_does_not_exist_yet_is_live_as_soon_as_it_does()
    {
        await using var hub = await StartAsync("CREATE TABLE done (id INTEGER PRIMARY KEY)");
        var before = await hub.PositionAsync("t");
        Assert.True((await hub.HistoryAsync("t", before)).Recovered);

        await hub.Sqlite3Async("CREATE TABLE t (id INTEGER PRIMARY KEY, a);");
        await WatchedAsync(hub, "a");
        await hub.Sqlite3Async("INSERT INTO t DEFAULT VALUES;");
        Assert.Equal("insert 1", (await hub.NextAsync()).ToString());
        Assert.False((await hub.HistoryAsync("t", before)).Recovered);
    }

    [Fact]
    public async Task A_renamed_table_is_left_in_peace()
    {
        await using var hub = await StartAsync();
        await hub.Sqlite3Async("ALTER TABLE t RENAME TO t_old;");
        await hub.NextNewEpochAsync();
        Assert.Equal(0, await hub.ScalarAsync<long>("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 't_old'"));
        await hub.RawAsync("INSERT INTO t_old DEFAULT VALUES");
        Assert.Empty(await hub.UntilNowAsync("done"));
    }

    [Fact]
    public async Task Dropped_triggers_come_back_with_a_new_epoch()
    {
        await using var hub = await StartAsync();
        await hub.Sqlite3Async("BEGIN; DROP TRIGGER carillon_after_delete_t; DROP TRIGGER carillon_after_insert_t; DROP TRIGGER carillon_after_update_t; DROP TRIGGER carillon_before_insert_t; DROP TRIGGER carillon_before_update_t; ALTER TABLE t DROP COLUMN b; COMMIT;");
        await hub.NextNewEpochAsync();
        await hub.RawAsync("INSERT INTO t (a) VALUES ('x')");
        Assert.Equal(["id", "a"], (await hub.NextAsync()).Columns);
    }

    [Fact]
    public async Task A_column_can_be_dropped_while_the_table_is_released()
    {
        await using var hub = await StartAsync();
        await Assert.ThrowsAsync<SqliteException>(() => hub.RawAsync("ALTER TABLE t DROP COLUMN b"));

        await using (await hub.Tables.ReleaseAsync("t", Ct))
        {
            await hub.RawAsync("ALTER TABLE t DROP COLUMN b");
            await hub.RawAsync("INSERT INTO t (a) VALUES ('unseen')");
            Assert.Empty(await hub.UntilNowAsync("done"));
        }

        await hub.NextNewEpochAsync();
        await hub.RawAsync("INSERT INTO t (a) VALUES ('seen')");
        Assert.Equal("insert 2", (await hub.NextAsync()).ToString());
    }

    [Fact]
    public async Task A_table_that_becomes_a_view_stops_being_live_and_the_others_go_on()
    {
        await using var hub = await StartAsync();
        await hub.Sqlite3Async("DROP TABLE t; CREATE VIEW t AS SELECT 1 AS one;");
        await hub.NextNewEpochAsync();
        Assert.Empty(await hub.UntilNowAsync("done"));
    }

    [Fact]
    public async Task Two_processes_watch_the_same_file_without_disturbing_each_other()
    {
        await using var hub = await StartAsync();
        await using var other = await hub.StartAnotherAsync();
        await hub.WriteAsync("INSERT INTO t (a) VALUES ('here')");
        await other.WriteAsync("INSERT INTO t (a) VALUES ('there')");
        await hub.Sqlite3Async("ALTER TABLE t ADD COLUMN c;");
        await WatchedAsync(hub, "c");
        await hub.Sqlite3Async("INSERT INTO t (c) VALUES ('outside');");

        foreach (var process in new[] { hub, other })
        {
            Assert.Equal(["insert 1", "insert 2", "insert 3"], await process.NextAsync(3));
            Assert.False(process.AnyNewEpoch);
        }

        Assert.Equal(await hub.PositionAsync("t"), await other.PositionAsync("t"));
    }

    [Fact]
    public async Task Two_processes_that_start_together_on_a_new_file_agree()
    {
        await using var hub = await StartAsync("");
        var others = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() => hub.StartAnotherAsync(), Ct)));
        foreach (var other in others)
        {
            Assert.Equal(await hub.PositionAsync("t"), await other.PositionAsync("t"));
            await other.DisposeAsync();
        }
    }
}
