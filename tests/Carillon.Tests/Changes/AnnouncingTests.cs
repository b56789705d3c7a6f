using System.Text.Json;
using Dapper;
using Microsoft.Data.Sqlite;

namespace Carillon.Tests.Changes;

public sealed class AnnouncingTests
{
    const string Ventes = "CREATE TABLE ventes (id INTEGER PRIMARY KEY, total INTEGER NOT NULL DEFAULT 0, note TEXT)";

    static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_write_through_the_application_is_announced_with_its_actor()
    {
        await using var hub = await LiveDatabase.StartAsync(Ventes, "ventes");

        await hub.WriteAsync("INSERT INTO ventes (total, note) VALUES (@total, @note)", new { total = 1250, note = "l'été" }, actor: "alice");

        var change = await hub.NextAsync();
        Assert.Equal("ventes", change.Table);
        Assert.Equal("insert", change.Operation);
        Assert.Equal("1", change.Key.GetString());
        Assert.Equal(["id", "total", "note"], change.Columns);
        Assert.Equal("""{"id":1,"total":1250,"note":"l'été"}""", change.Row?.GetRawText());
        Assert.Equal("alice", change.Actor);
        Assert.Matches(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", change.At);
        Assert.Equal("changes:ventes", change.Message.Channel);
        Assert.Equal("change", change.Message.Event);
        Assert.Equal(change.Id, change.Message.Id);
        Assert.Equal(await hub.PositionAsync("ventes"), change.Message.Position);
        Assert.Equal(1, change.Message.Position.Offset);
    }

    [Fact]
    public async Task An_actor_is_told_with_its_own_transaction_only()
    {
        await using var hub = await LiveDatabase.StartAsync(Ventes, "ventes");

        await hub.WriteAsync("INSERT INTO ventes (total) VALUES (1)", actor: "alice");
        await hub.WriteAsync("INSERT INTO ventes (total) VALUES (2)");
        await hub.RawAsync("INSERT INTO ventes (total) VALUES (3)");
        await using (var rolledBack = await hub.Db.BeginAsync("mallory", Ct)) await rolledBack.ExecuteAsync("INSERT INTO ventes (total) VALUES (4)", ct: Ct);
        await hub.Sqlite3Async("INSERT INTO ventes (total) VALUES (5);");

        var actors = new List<string?>();
        for (var n = 0; n < 4; n++) actors.Add((await hub.NextAsync()).Actor);
        Assert.Equal(new[] { "alice", null, null, null }, actors);
    }

    [Fact]
    public async Task Updates_tell_the_columns_that_changed_and_deletes_the_key()
    {
        await using var hub = await LiveDatabase.StartAsync(Ventes, "ventes");

        await hub.RawAsync("INSERT INTO ventes (total) VALUES (1); UPDATE ventes SET total = 2, note = NULL; DELETE FROM ventes;");

        Assert.Equal("insert 1", (await hub.NextAsync()).ToString());
        var update = await hub.NextAsync();
        Assert.Equal(("update 1", "total"), (update.ToString(), Assert.Single(update.Columns)));
        var delete = await hub.NextAsync();
        Assert.Equal("delete 1", delete.ToString());
        Assert.Empty(delete.Columns);
        Assert.Null(delete.Row);
    }

    [Fact]
    public async Task A_change_of_letter_case_is_a_change_whatever_the_collation()
    {
        await using var hub = await LiveDatabase.StartAsync("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE); INSERT INTO t VALUES (1, 'anne')", "t");
        await hub.RawAsync("UPDATE t SET name = 'Anne'");
        Assert.Equal(["name"], (await hub.NextAsync()).Columns);
    }

    [Fact]
    public async Task Another_process_writes_and_is_announced_within_a_second()
    {
        await using var hub = await LiveDatabase.StartAsync(Ventes, "ventes");
        await hub.Sqlite3Async("INSERT INTO ventes (total) VALUES (7), (8); DELETE FROM ventes WHERE total = 7;");
        Assert.Equal(["insert 1", "insert 2", "delete 1"], await hub.NextAsync(3));
    }

    [Fact]
    public async Task Dapper_on_a_connection_of_its_own_is_announced()
    {
        await using var hub = await LiveDatabase.StartAsync(Ventes, "ventes");
        await using (var connection = new SqliteConnection($"Data Source={hub.Db.Path};Pooling=False"))
            await connection.ExecuteAsync("INSERT INTO ventes (total) VALUES (@total)", new[] { new { total = 1 }, new { total = 2 } });
        Assert.Equal(["insert 1", "insert 2"], await hub.NextAsync(2));
    }

    [Fact]
    public async Task A_bulk_statement_announces_every_row_in_order()
    {
        await using var hub = await LiveDatabase.StartAsync(Ventes, "ventes");
        await hub.RawAsync("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1800) INSERT INTO ventes (total) SELECT i FROM n");
        for (var n = 1; n <= 1800; n++)
        {
            var change = await hub.NextAsync();
            Assert.Equal($"insert {n}", change.ToString());
            Assert.Equal(n, change.Message.Position.Offset);
        }
    }

    [Fact]
    public async Task Rolled_back_work_is_never_announced_and_leaves_no_gap()
    {
        await using var hub = await LiveDatabase.StartAsync(Ventes, "ventes");

        await hub.RawAsync("BEGIN; INSERT INTO ventes (total) VALUES (1); ROLLBACK;");
        await hub.RawAsync("BEGIN; INSERT INTO ventes (total) VALUES (2); SAVEPOINT s; INSERT INTO ventes (total) VALUES (3); ROLLBACK TO s; COMMIT;");
        await using (var tx = await hub.Db.BeginAsync("alice", Ct)) await tx.ExecuteAsync("INSERT INTO ventes (total) VALUES (4)", ct: Ct);
        await hub.RawAsync("INSERT INTO ventes (total) VALUES (5)");

        var first = await hub.NextAsync();
        var second = await hub.NextAsync();
        Assert.Equal((2, 1L), (first.Row!.Value.GetProperty("total").GetInt32(), first.Message.Position.Offset));
        Assert.Equal((5, 2L), (second.Row!.Value.GetProperty("total").GetInt32(), second.Message.Position.Offset));
    }

    [Fact]
    public async Task The_triggers_do_not_change_what_the_writer_is_told()
    {
        await using var hub = await LiveDatabase.StartAsync(Ventes, "ventes");
        Assert.Equal(3, await hub.RawAsync("INSERT INTO ventes (id, total) VALUES (10, 1), (20, 2), (30, 3)"));
        Assert.Equal(2, await hub.RawAsync("UPDATE ventes SET total = 0 WHERE id > 10"));
        Assert.Equal("30|1", (await hub.Sqlite3Async("INSERT OR REPLACE INTO ventes (id) VALUES (30); SELECT last_insert_rowid(), changes();")).Trim());
        await using var tx = await hub.Db.BeginAsync("alice", Ct);
        Assert.Equal(3, await tx.ExecuteAsync("DELETE FROM ventes", ct: Ct));
    }

    [Fact]
    public async Task Offsets_are_dense_under_writers_of_several_processes()
    {
        await using var hub = await LiveDatabase.StartAsync(Ventes, "ventes");

        var inside = Enumerable.Range(0, 4).Select(writer => Task.Run(async () =>
        {
            for (var n = 0; n < 25; n++) await hub.WriteAsync("INSERT INTO ventes (total) VALUES (@n)", new { n }, actor: $"writer {writer}");
        }, Ct));
        var outside = Enumerable.Range(0, 2).Select(_ => hub.Sqlite3Async(string.Concat(Enumerable.Range(0, 25).Select(n => $"INSERT INTO ventes (total) VALUES ({n});\n"))));
        await Task.WhenAll([.. inside, .. outside]);

        for (var offset = 1; offset <= 150; offset++) Assert.Equal(offset, (await hub.NextAsync()).Message.Position.Offset);
        Assert.Equal(150, (await hub.PositionAsync("ventes")).Offset);
    }

    [Fact]
    public async Task Tables_count_for_themselves_and_only_live_ones_are_announced()
    {
        await using var hub = await LiveDatabase.StartAsync("CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY); CREATE TABLE c (id INTEGER PRIMARY KEY)", "a", "b");
        await hub.RawAsync("INSERT INTO a DEFAULT VALUES; INSERT INTO c DEFAULT VALUES; INSERT INTO b DEFAULT VALUES; INSERT INTO a DEFAULT VALUES");

        var changes = new[] { await hub.NextAsync(), await hub.NextAsync(), await hub.NextAsync() };
        Assert.Equal([("a", 1L), ("b", 1L), ("a", 2L)], changes.Select(change => (change.Table, change.Message.Position.Offset)));
    }

    [Fact]
    public async Task Cascades_and_the_triggers_of_the_application_are_announced_too()
    {
        await using var hub = await LiveDatabase.StartAsync("""
            CREATE TABLE ventes (id INTEGER PRIMARY KEY, total INTEGER NOT NULL DEFAULT 0);
            CREATE TABLE lignes (id INTEGER PRIMARY KEY, venteId INTEGER REFERENCES ventes (id) ON DELETE CASCADE, prix INTEGER);
            CREATE TRIGGER summing AFTER INSERT ON lignes BEGIN UPDATE ventes SET total = total + NEW.prix WHERE id = NEW.venteId; END;
            """, "ventes", "lignes");
        await hub.WriteAsync("INSERT INTO ventes (id) VALUES (1); INSERT INTO lignes (venteId, prix) VALUES (1, 5)");
        await hub.WriteAsync("DELETE FROM ventes WHERE id = 1");

        var changes = new List<string>();
        for (var n = 0; n < 5; n++) changes.Add(await hub.NextAsync() is var change ? $"{change.Table} {change}" : "");
        Assert.Equal(["lignes delete 1", "lignes insert 1", "ventes delete 1", "ventes insert 1", "ventes update 1"], changes.Order());
    }

    [Fact]
    public async Task A_change_is_about_a_kilobyte_at_most()
    {
        await using var hub = await LiveDatabase.StartAsync("CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT, b TEXT, c TEXT)", "t");
        foreach (var length in new[] { 10, 100, 150, 200, 300, 499, 5_000, 1_000_000 })
        {
            var text = new string('é', length);
            await hub.WriteAsync("INSERT INTO t VALUES (@id, @text, @text, @text)", new { id = $"k{length}", text }, actor: new string('a', 200));
            var change = await hub.NextAsync();
            Assert.Equal($"insert k{length}", change.ToString());
            Assert.True(change.Message.Body.Length <= 1024, $"{change.Message.Body.Length} bytes");
            Assert.Equal(length <= 100, change.Row is not null);
        }

        await hub.WriteAsync("INSERT INTO t (id) VALUES (@id)", new { id = new string('k', 3_000) });
        var longKey = await hub.NextAsync();
        Assert.Equal(JsonValueKind.Null, longKey.Key.ValueKind);
        Assert.True(longKey.Message.Body.Length <= 1024);
    }

    [Fact]
    public async Task The_bodies_of_the_history_equal_those_that_were_announced()
    {
        await using var hub = await LiveDatabase.StartAsync(Ventes, "ventes");
        var start = await hub.PositionAsync("ventes");
        await hub.WriteAsync("INSERT INTO ventes (total) VALUES (1), (2)", actor: "alice");

        var announced = new[] { await hub.NextAsync(), await hub.NextAsync() };
        var history = await hub.HistoryAsync("ventes", start);
        Assert.True(history.Recovered);
        Assert.Equal(announced.Select(change => (change.Message.Position, change.Id, JsonSerializer.Serialize(change.Row), change.Message.At)),
            history.Publications.Select(Change.Of).Select(change => (change.Message.Position, change.Id, JsonSerializer.Serialize(change.Row), change.Message.At)));
        Assert.Equal(announced.Select(change => Convert.ToHexString(change.Message.Body.Span)), history.Publications.Select(message => Convert.ToHexString(message.Body.Span)));
    }
}
