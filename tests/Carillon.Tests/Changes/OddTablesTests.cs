using System.Text.Json;
using Microsoft.Data.Sqlite;

namespace Carillon.Tests.Changes;

/// <summary>The triggers stand in somebody else's database: whatever it holds, writing to it must go on working.</summary>
public sealed class OddTablesTests
{
    static async Task<LiveDatabase> WithAsync(string schema, string table = "t") =>
        await LiveDatabase.StartAsync(schema + "; CREATE TABLE done (id INTEGER PRIMARY KEY)", table, "done");

    [Fact]
    public async Task A_table_without_a_primary_key_is_known_by_its_row_id()
    {
        await using var hub = await WithAsync("CREATE TABLE t (a, b)");
        await hub.RawAsync("INSERT INTO t VALUES (1, 2); INSERT INTO t (rowid, a) VALUES (41, 1); UPDATE t SET a = 3 WHERE rowid = 41; DELETE FROM t WHERE a = 1");
        Assert.Equal(["insert 1", "insert 41", "update 41", "delete 1"], await hub.UntilNowAsync("done"));
    }

    [Fact]
    public async Task Columns_named_like_the_row_id_are_only_columns()
    {
        await using var hub = await WithAsync("CREATE TABLE t (rowid TEXT, _rowid_ TEXT)");
        await hub.RawAsync("INSERT INTO t VALUES ('x', 'y')");
        var change = await hub.NextAsync();
        Assert.Equal("insert 1", change.ToString());
        Assert.Equal("""{"rowid":"x","_rowid_":"y"}""", change.Row?.GetRawText());
    }

    [Fact]
    public async Task Without_any_name_for_its_row_id_a_table_is_known_by_its_primary_key()
    {
        await using var hub = await WithAsync("CREATE TABLE t (rowid TEXT PRIMARY KEY, _rowid_ TEXT, oid TEXT UNIQUE)");
        await hub.RawAsync("INSERT INTO t VALUES ('x', 'y', 'z'); REPLACE INTO t VALUES ('x', 'y', 'z'); REPLACE INTO t VALUES ('w', 'y', 'z')");
        Assert.Equal(["insert x", "update x", "delete x", "insert w"], await hub.UntilNowAsync("done"));
    }

    [Fact]
    public async Task A_key_of_several_columns_is_an_object()
    {
        await using var hub = await WithAsync("CREATE TABLE t (a INT, b TEXT, c REAL, d BLOB, v, PRIMARY KEY (b, a, c, d)) WITHOUT ROWID");
        await hub.RawAsync("INSERT INTO t VALUES (1, 'it''s \"x\"', 1.5, x'00ff', 0)");
        var change = await hub.NextAsync();
        Assert.Equal("""{"b":"it's \"x\"","a":1,"c":"1.5","d":"00FF"}""", change.Key.GetRawText());
    }

    [Theory]
    [InlineData("INSERT INTO t VALUES (x'00ff', 1)", "00FF")]
    [InlineData("INSERT INTO t VALUES (1.5, 1)", "1.5")]
    [InlineData("INSERT INTO t VALUES (9e999, 1)", "Inf")]
    [InlineData("INSERT INTO t VALUES (9007199254740993, 1)", "9007199254740993")]
    [InlineData("INSERT INTO t VALUES ('é\n\"', 1)", "é\n\"")]
    public async Task A_key_of_any_type_is_told_as_text(string statement, string key)
    {
        await using var hub = await WithAsync("CREATE TABLE t (k PRIMARY KEY, v)");
        await hub.RawAsync(statement);
        Assert.Equal(key, (await hub.NextAsync()).Key.GetString());
    }

    [Fact]
    public async Task Functions_and_collations_of_the_application_in_other_tables_stop_nothing()
    {
        var folder = Directory.CreateTempSubdirectory("carillon-");
        try
        {
            await using (var connection = new SqliteConnection($"Data Source={Path.Combine(folder.FullName, "shop's database.db")};Pooling=False"))
            {
                await connection.OpenAsync(TestContext.Current.CancellationToken);
                connection.CreateCollation("german", string.CompareOrdinal);
                connection.CreateFunction("norm", (string text) => text, isDeterministic: true);
                await using var command = connection.CreateCommand();
                command.CommandText = """
                    CREATE TABLE people (name TEXT COLLATE german PRIMARY KEY, n TEXT CHECK (norm(n) <> ''), g TEXT AS (norm(n)));
                    CREATE INDEX by_norm ON people (norm(name)); CREATE UNIQUE INDEX by_german ON people (n COLLATE german);
                    CREATE VIEW german_people AS SELECT norm(name) AS m FROM people ORDER BY name COLLATE german;
                    CREATE TRIGGER normed AFTER INSERT ON people BEGIN SELECT norm(NEW.name); END;
                    CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE TABLE done (id INTEGER PRIMARY KEY)
                    """;
                await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
            }
            await using var hub = await LiveDatabase.StartAtAsync(folder, "t", "done");
            await hub.RawAsync("INSERT INTO t VALUES (1); CREATE TABLE later (id INT)");
            Assert.Equal(["insert 1"], await hub.UntilNowAsync("done"));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task Keys_that_are_null_are_announced_as_null()
    {
        await using var hub = await WithAsync("CREATE TABLE t (k TEXT PRIMARY KEY, v)");
        await hub.RawAsync("INSERT INTO t VALUES (NULL, 1), (NULL, 2); UPDATE t SET v = 3; UPDATE t SET k = 'now' WHERE v = 3 AND rowid = 1; DELETE FROM t WHERE k IS NULL");
        Assert.Equal(["insert null", "insert null", "update null", "update null", "delete null", "insert now", "delete null"], await hub.UntilNowAsync("done"));
    }

    [Fact]
    public async Task Values_that_have_no_json_leave_the_row_out_and_the_write_alone()
    {
        await using var hub = await WithAsync("CREATE TABLE t (id INTEGER PRIMARY KEY, v, w)");
        foreach (var (value, told) in new[] { ("x'00ff'", false), ("zeroblob(2000000)", false), ("9e999", false), ("-9e999", false), ("NULL", true), ("0.1", true), ("'a' || char(0) || 'b'", true), ("9223372036854775807", true) })
        {
            await hub.RawAsync($"INSERT INTO t (v) VALUES ({value})");
            await hub.RawAsync($"UPDATE t SET v = {value}, w = 1");
            await hub.RawAsync("DELETE FROM t");
            Assert.Equal((value, told), (value, (await hub.NextAsync()).Row is not null));
            Assert.Equal((value, told), (value, (await hub.NextAsync()).Row is not null));
            await hub.NextAsync();
        }
    }

    [Theory]
    [InlineData("it's")]
    [InlineData("a \"quoted\" name")]
    [InlineData("spaces and [brackets] `ticks`; --")]
    [InlineData("select")]
    [InlineData("été_日本_🎉")]
    [InlineData("NEW")]
    [InlineData("x")]
    [InlineData("key")]
    [InlineData("%_{0}@p:$")]
    public async Task Names_may_be_anything(string name)
    {
        var quoted = "\"" + name.Replace("\"", "\"\"", StringComparison.Ordinal) + "\"";
        await using var hub = await WithAsync($"CREATE TABLE {quoted} ({quoted} TEXT PRIMARY KEY, \"other {quoted[1..^1]}\" INT UNIQUE, row, offset)", name);
        await hub.RawAsync($"INSERT INTO {quoted} VALUES ('a', 1, 2, 3); UPDATE {quoted} SET row = 5, {quoted} = 'b'; REPLACE INTO {quoted} VALUES ('c', 1, 2, 3); DELETE FROM {quoted}");

        var insert = await hub.NextAsync();
        Assert.Equal(name, insert.Table);
        Assert.Equal($"changes:{name}", insert.Message.Channel);
        Assert.Equal([name, $"other {name}", "row", "offset"], insert.Columns);
        Assert.Equal("a", insert.Row?.GetProperty(name).GetString());
        Assert.Equal(["delete a", "insert b", "delete b", "insert c", "delete c"], await hub.UntilNowAsync("done"));
        Assert.True((await hub.HistoryAsync(name, insert.Message.Position)).Recovered);
    }

    [Theory]
    [InlineData(32)]
    [InlineData(33)]
    [InlineData(120)]
    [InlineData(2000)]
    public async Task A_wide_table_leaves_the_row_out(int columns)
    {
        var names = Enumerable.Range(1, columns - 1).Select(n => $"column_{n}").ToList();
        await using var hub = await WithAsync($"CREATE TABLE t (id INTEGER PRIMARY KEY, {string.Join(", ", names)})");
        await hub.RawAsync($"INSERT INTO t (id) VALUES (1); UPDATE t SET {names[^1]} = 1; UPDATE t SET {string.Join(", ", names.Select(name => name + " = 2"))}; DELETE FROM t");

        var insert = await hub.NextAsync();
        Assert.Equal(columns < 60, insert.Columns.Length == columns);   // too many names for a kilobyte are left out as well
        Assert.Equal([names[^1]], (await hub.NextAsync()).Columns);
        Assert.True((await hub.NextAsync()).Message.Body.Length <= 1024);
        Assert.Equal("delete 1", (await hub.NextAsync()).ToString());
        Assert.Equal(columns > 32, insert.Row is null);
    }

    [Fact]
    public async Task A_primary_key_of_many_columns_is_followed()
    {
        var names = Enumerable.Range(1, 12).Select(n => $"k{n}").ToList();
        await using var hub = await WithAsync($"CREATE TABLE t ({string.Join(" INT, ", names)} INT, v UNIQUE, PRIMARY KEY ({string.Join(", ", names)})) WITHOUT ROWID");
        await hub.RawAsync("INSERT INTO t VALUES (1,1,1,1,1,1,1,1,1,1,1,1, 'v'); REPLACE INTO t VALUES (1,1,1,1,1,1,1,1,1,1,1,2, 'v')");
        Assert.Equal(["insert", "delete", "insert"], (await hub.UntilNowAsync("done")).Select(change => change.Split(' ')[0]));
    }

    [Fact]
    public async Task Generated_columns_are_told_where_they_are_stored_and_never_in_the_way()
    {
        await using var hub = await WithAsync("""
            CREATE TABLE t (id INTEGER PRIMARY KEY, price INT, quantity INT, total INT AS (price * quantity) STORED, half REAL AS (price / 2.0) VIRTUAL);
            CREATE UNIQUE INDEX u ON t (total)
            """);
        await hub.RawAsync("INSERT INTO t (price, quantity) VALUES (5, 3); UPDATE t SET quantity = 4; REPLACE INTO t (price, quantity) VALUES (4, 5)");
        Assert.Equal("""{"id":1,"price":5,"quantity":3,"total":15}""", (await hub.NextAsync()).Row?.GetRawText());
        Assert.Equal(["quantity", "total"], (await hub.NextAsync()).Columns);
        Assert.Equal(["delete 1", "insert 2"], await hub.UntilNowAsync("done"));
    }

    [Fact]
    public async Task Partial_and_expression_indexes_do_not_disturb_writing()
    {
        await using var hub = await WithAsync("""
            CREATE TABLE t (id INTEGER PRIMARY KEY, email TEXT, active INT);
            CREATE UNIQUE INDEX partly ON t (email) WHERE active = 1;
            CREATE UNIQUE INDEX lowered ON t (lower(email) || active)
            """);
        await hub.RawAsync("INSERT INTO t VALUES (1, 'a@b', 1), (2, 'a@b', 0); UPDATE t SET email = 'c@d' WHERE id = 1");
        Assert.Equal(["insert 1", "insert 2", "update 1"], await hub.UntilNowAsync("done"));
    }

    [Fact]
    public async Task A_name_in_other_letter_case_is_the_same_table()
    {
        await using var hub = await WithAsync("CREATE TABLE VENTES (id INTEGER PRIMARY KEY)", "ventes");
        await hub.RawAsync("INSERT INTO Ventes DEFAULT VALUES");
        Assert.Equal("changes:ventes", (await hub.NextAsync()).Message.Channel);
    }

    [Theory]
    [InlineData("CREATE TABLE u (a); CREATE VIEW t AS SELECT * FROM u", "view")]
    [InlineData("CREATE VIRTUAL TABLE t USING fts5 (a)", "virtual")]
    [InlineData("CREATE TABLE t (rowid, _rowid_, oid)", "primary key")]
    public async Task What_cannot_be_live_is_refused_at_the_start_with_the_reason(string schema, string reason)
    {
        var refused = await Assert.ThrowsAsync<InvalidOperationException>(() => WithAsync(schema));
        Assert.Contains(reason, refused.Message, StringComparison.Ordinal);
        Assert.Contains("\"t\"", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("sqlite_master")]
    [InlineData("carillon_changes")]
    [InlineData(" ")]
    [InlineData("done")]
    public async Task Names_that_make_no_sense_are_refused(string table) =>
        await Assert.ThrowsAsync<InvalidOperationException>(() => WithAsync("SELECT 1", table));

    [Fact]
    public async Task Numbers_and_texts_keep_their_json_type()
    {
        await using var hub = await WithAsync("CREATE TABLE t (id INTEGER PRIMARY KEY, n, json TEXT)");
        await hub.RawAsync("""INSERT INTO t VALUES (1, '12', '{"a":1}')""");
        var row = (await hub.NextAsync()).Row!.Value;
        Assert.Equal((JsonValueKind.Number, JsonValueKind.String, JsonValueKind.String), (row.GetProperty("id").ValueKind, row.GetProperty("n").ValueKind, row.GetProperty("json").ValueKind));
    }
}
