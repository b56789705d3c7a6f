using Carillon.Channels;
using Microsoft.Data.Sqlite;

namespace Carillon.Tests.Changes;

public sealed class AlteredTablesTests
{
    const string Schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT); CREATE TABLE done (id INTEGER PRIMARY KEY)";

    static CancellationToken Ct => TestContext.Current.CancellationToken;

    static Task<LiveDatabase> StartAsync(string schema = Schema) => LiveDatabase.StartAsync(schema, "t", "done");

    static Task WatchedAsync(LiveDatabase live, string column) => LiveDatabase.UntilAsync(
        async () => await live.ScalarAsync<long>($"SELECT count(*) FROM sqlite_master WHERE name = 'carillon_after_insert_t' AND sql LIKE '%''{column}''%'") == 1, $"a trigger that tells {column}");

    [Fact]
    public async Task A_column_that_is_added_is_told_and_no_history_is_lost()
    {
        await using var live = await StartAsync();
        var start = await live.PositionAsync("t");
        await live.Sqlite3Async("ALTER TABLE t ADD COLUMN c TEXT; INSERT INTO t (c) VALUES ('early'); UPDATE t SET c = 'at once';");
        await WatchedAsync(live, "c");
        await live.Sqlite3Async("INSERT INTO t (c) VALUES ('late');");

        Assert.Equal(["insert 1", "update 1"], await live.NextAsync(2));
        var late = await live.NextAsync();
        Assert.Equal("late", late.Row?.GetProperty("c").GetString());
        Assert.Equal(start.Epoch, late.Message.Position.Epoch);
        Assert.True((await live.HistoryAsync("t", start)).Recovered);
        Assert.False(live.AnyNewEpoch);
    }

    [Fact]
    public async Task A_table_that_cannot_be_watched_any_more_stops_no_other()
    {
        await using var live = await StartAsync();
        await using (var application = new SqliteConnection($"Data Source={live.Db.Path};Pooling=False"))
        {
            await application.OpenAsync(Ct);
            application.CreateCollation("german", string.CompareOrdinal);
            await using var command = application.CreateCommand();
            // SQLite can compile our triggers on it no more, because only the application knows the collation.
            command.CommandText = "DROP TABLE t; CREATE TABLE t (id TEXT COLLATE german PRIMARY KEY); INSERT INTO t VALUES ('unseen')";
            await command.ExecuteNonQueryAsync(Ct);
        }
        Assert.Equal("t", (await live.NextNewEpochAsync()).Table);
        await live.RawAsync("INSERT INTO done DEFAULT VALUES");
        Assert.Equal("insert 1", (await live.NextAsync()).ToString());
        Assert.Equal(0, await live.ScalarAsync<long>("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 't'"));

        // It is checked again at each change of the schema, and logged once.
        for (var i = 2; i < 6; i++)
        {
            await live.RawAsync($"CREATE TABLE other{i} (id); INSERT INTO done DEFAULT VALUES");
            Assert.Equal($"insert {i}", (await live.NextAsync()).ToString());
        }
        Assert.Single(live.Logged.At(Microsoft.Extensions.Logging.LogLevel.Error));
    }

    [Fact]
    public async Task A_column_that_is_renamed_is_told_by_its_new_name()
    {
        await using var live = await StartAsync();
        await live.Sqlite3Async("ALTER TABLE t RENAME COLUMN b TO \"the new\";");
        await WatchedAsync(live, "the new");
        await live.RawAsync("INSERT INTO t (\"the new\") VALUES ('x')");
        Assert.Equal(["id", "a", "the new"], (await live.NextAsync()).Columns);
        Assert.False(live.AnyNewEpoch);
    }

    [Fact]
    public async Task A_table_that_is_dropped_and_made_again_begins_a_new_epoch()
    {
        await using var live = await StartAsync();
        var before = await live.PositionAsync("t");
        await live.Sqlite3Async("DROP TABLE t; CREATE TABLE t (k TEXT PRIMARY KEY); INSERT INTO t VALUES ('unseen');");

        var (table, position) = await live.NextNewEpochAsync();
        Assert.Equal("t", table);
        Assert.NotEqual(before.Epoch, position.Epoch);
        Assert.False((await live.HistoryAsync("t", before)).Recovered);

        await live.Sqlite3Async("INSERT INTO t VALUES ('seen');");
        var seen = await live.NextAsync();
        Assert.Equal("insert seen", seen.ToString());
        Assert.Equal(new Position(position.Epoch, 1), seen.Message.Position);
    }

    [Fact]
    public async Task The_twelve_steps_of_a_migration_are_survived()
    {
        await using var live = await StartAsync();
        await live.RawAsync("INSERT INTO t (a) VALUES ('kept')");
        await live.NextAsync();
        await live.Sqlite3Async("BEGIN; CREATE TABLE t_new (id INTEGER PRIMARY KEY, a TEXT NOT NULL); INSERT INTO t_new SELECT id, a FROM t; DROP TABLE t; ALTER TABLE t_new RENAME TO t; COMMIT;");
        await live.NextNewEpochAsync();
        await live.RawAsync("UPDATE t SET a = 'changed'");
        Assert.Equal("update 1", (await live.NextAsync()).ToString());
    }

    [Fact]
    public async Task A_table_that_is_dropped_for_good_says_so_by_a_new_epoch_and_lives_again_when_it_is_there()
    {
        await using var live = await StartAsync();
        await live.RawAsync("DROP TABLE t");
        await live.NextNewEpochAsync();
        Assert.Equal(0, (await live.PositionAsync("t")).Offset);

        await live.RawAsync("CREATE TABLE t (id INTEGER PRIMARY KEY, z)");
        await live.NextNewEpochAsync();
        await WatchedAsync(live, "z");
        await live.RawAsync("INSERT INTO t (z) VALUES (1)");
        Assert.Equal("insert 1", (await live.NextAsync()).ToString());
    }

    [Fact]
    public async Task A_table_that_does_not_exist_yet_is_live_as_soon_as_it_does()
    {
        await using var live = await StartAsync("CREATE TABLE done (id INTEGER PRIMARY KEY)");
        var before = await live.PositionAsync("t");
        Assert.True((await live.HistoryAsync("t", before)).Recovered);

        await live.Sqlite3Async("CREATE TABLE t (id INTEGER PRIMARY KEY, a);");
        await WatchedAsync(live, "a");
        await live.Sqlite3Async("INSERT INTO t DEFAULT VALUES;");
        Assert.Equal("insert 1", (await live.NextAsync()).ToString());
        Assert.False((await live.HistoryAsync("t", before)).Recovered);
    }

    [Fact]
    public async Task A_renamed_table_is_left_in_peace()
    {
        await using var live = await StartAsync();
        await live.Sqlite3Async("ALTER TABLE t RENAME TO t_old;");
        await live.NextNewEpochAsync();
        Assert.Equal(0, await live.ScalarAsync<long>("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 't_old'"));
        await live.RawAsync("INSERT INTO t_old DEFAULT VALUES");
        Assert.Empty(await live.UntilNowAsync("done"));
    }

    [Fact]
    public async Task Dropped_triggers_come_back_with_a_new_epoch()
    {
        await using var live = await StartAsync();
        await live.Sqlite3Async("BEGIN; DROP TRIGGER carillon_after_delete_t; DROP TRIGGER carillon_after_insert_t; DROP TRIGGER carillon_after_update_t; DROP TRIGGER carillon_before_insert_t; DROP TRIGGER carillon_before_update_t; ALTER TABLE t DROP COLUMN b; COMMIT;");
        await live.NextNewEpochAsync();
        await live.RawAsync("INSERT INTO t (a) VALUES ('x')");
        Assert.Equal(["id", "a"], (await live.NextAsync()).Columns);
    }

    [Fact]
    public async Task A_column_can_be_dropped_while_the_table_is_released()
    {
        await using var live = await StartAsync();
        await Assert.ThrowsAsync<SqliteException>(() => live.RawAsync("ALTER TABLE t DROP COLUMN b"));

        await using (await live.Tables.ReleaseAsync("t", Ct))
        {
            await live.RawAsync("ALTER TABLE t DROP COLUMN b");
            await live.RawAsync("INSERT INTO t (a) VALUES ('unseen')");
            Assert.Empty(await live.UntilNowAsync("done"));
        }

        await live.NextNewEpochAsync();
        await live.RawAsync("INSERT INTO t (a) VALUES ('seen')");
        Assert.Equal("insert 2", (await live.NextAsync()).ToString());
    }

    [Fact]
    public async Task A_table_that_becomes_a_view_stops_being_live_and_the_others_go_on()
    {
        await using var live = await StartAsync();
        await live.Sqlite3Async("DROP TABLE t; CREATE VIEW t AS SELECT 1 AS one;");
        await live.NextNewEpochAsync();
        Assert.Empty(await live.UntilNowAsync("done"));
    }

    [Fact]
    public async Task Two_processes_watch_the_same_file_without_disturbing_each_other()
    {
        await using var live = await StartAsync();
        await using var other = await live.StartAnotherAsync();
        await live.WriteAsync("INSERT INTO t (a) VALUES ('here')");
        await other.WriteAsync("INSERT INTO t (a) VALUES ('there')");
        await live.Sqlite3Async("ALTER TABLE t ADD COLUMN c;");
        await WatchedAsync(live, "c");
        await live.Sqlite3Async("INSERT INTO t (c) VALUES ('outside');");

        foreach (var process in new[] { live, other })
        {
            Assert.Equal(["insert 1", "insert 2", "insert 3"], await process.NextAsync(3));
            Assert.False(process.AnyNewEpoch);
        }

        Assert.Equal(await live.PositionAsync("t"), await other.PositionAsync("t"));
    }

    [Fact]
    public async Task Two_processes_that_start_together_on_a_new_file_agree()
    {
        await using var live = await StartAsync("");
        var others = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() => live.StartAnotherAsync(), Ct)));
        foreach (var other in others)
        {
            Assert.Equal(await live.PositionAsync("t"), await other.PositionAsync("t"));
            await other.DisposeAsync();
        }
    }
}
