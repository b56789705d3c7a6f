namespace Carillon.Tests.Changes;

/// <summary>REPLACE takes rows away without a delete trigger hearing of it. Whoever shows such a row must be told that it is gone.</summary>
public sealed class ReplaceTests
{
    const string Schema = """
        CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT UNIQUE, a INT, b INT, v INT, UNIQUE (a, b));
        CREATE TABLE done (id INTEGER PRIMARY KEY);
        INSERT INTO t VALUES (1, 'one', 1, 1, 0), (2, 'two', 2, 2, 0), (3, 'three', 3, 3, 0);
        """;

    public static TheoryData<string, string[]> Statements => new()
    {
        { "INSERT OR REPLACE INTO t VALUES (1, 'one', 1, 1, 9)", ["update 1"] },
        { "REPLACE INTO t VALUES (4, 'four', 4, 4, 9)", ["insert 4"] },
        { "REPLACE INTO t VALUES (4, 'two', 4, 4, 9)", ["delete 2", "insert 4"] },
        { "REPLACE INTO t VALUES (1, 'two', 3, 3, 9)", ["delete 2", "delete 3", "update 1"] },
        { "REPLACE INTO t (code, a, b) VALUES ('three', 1, 1)", ["delete 1", "delete 3", "insert 4"] },
        { "INSERT OR IGNORE INTO t VALUES (1, 'ein', 9, 9, 9); INSERT INTO t VALUES (5, 'five', 5, 5, 5)", ["insert 5"] },
        { "INSERT OR IGNORE INTO t VALUES (9, 'two', 9, 9, 9); DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (2, 'new', 9, 9, 9)", ["delete 2", "insert 2"] },
        { "INSERT INTO t VALUES (1, 'x', 9, 9, 9) ON CONFLICT (id) DO UPDATE SET v = excluded.v", ["update 1"] },
        { "INSERT INTO t VALUES (9, 'one', 9, 9, 9) ON CONFLICT (code) DO UPDATE SET v = 5 WHERE false", [] },
        { "INSERT INTO t VALUES (9, 'one', 9, 9, 9) ON CONFLICT (code) DO NOTHING", [] },
        { "INSERT INTO t VALUES (9, 'one', 9, 9, 9) ON CONFLICT (code) DO UPDATE SET id = 7", ["delete 1", "insert 7"] },
        { "UPDATE OR REPLACE t SET code = 'two' WHERE id = 1", ["delete 2", "update 1"] },
        { "UPDATE OR REPLACE t SET id = 2 WHERE id = 1", ["delete 1", "update 2"] },
        { "UPDATE OR REPLACE t SET id = 2, a = 3, b = 3 WHERE id = 1", ["delete 3", "delete 1", "update 2"] },
        { "UPDATE OR IGNORE t SET code = 'two' WHERE id = 1", [] },
        { "UPDATE OR REPLACE t SET rowid = 2 WHERE id = 1", ["delete 1", "update 2"] },
        { "UPDATE t SET id = id + 10 WHERE id > 1", ["delete 2", "insert 12", "delete 3", "insert 13"] },
        { "UPDATE t SET a = 1 WHERE id = 1", ["update 1"] },
        { "REPLACE INTO t SELECT id, code, a, b, 7 FROM t", ["update 1", "update 2", "update 3"] },
        { "DELETE FROM t", ["delete 1", "delete 2", "delete 3"] },
    };

    [Theory]
    [MemberData(nameof(Statements))]
    public async Task Each_row_that_comes_or_goes_is_announced_once(string statement, string[] expected)
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, "t", "done");
        await hub.RawAsync(statement);
        Assert.Equal(expected, await hub.UntilNowAsync("done"));
    }

    [Theory]
    [MemberData(nameof(Statements))]
    public async Task The_sqlite3_tool_is_no_different(string statement, string[] expected)
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, "t", "done");
        await hub.Sqlite3Async(statement + ";");
        Assert.Equal(expected, await hub.UntilNowAsync("done"));
    }

    [Theory]
    [InlineData("REPLACE INTO t VALUES (1, 'two', 3, 3, 9)", new[] { "delete 1", "delete 2", "delete 3", "insert 1" })]
    [InlineData("UPDATE OR REPLACE t SET code = 'two' WHERE id = 1", new[] { "delete 2", "update 1" })]
    [InlineData("UPDATE OR REPLACE t SET id = 2 WHERE id = 1", new[] { "delete 1", "delete 2", "insert 2" })]
    public async Task With_recursive_triggers_nothing_is_said_twice(string statement, string[] expected)
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, "t", "done");
        await hub.RawAsync("PRAGMA recursive_triggers = ON; " + statement);
        Assert.Equal(expected, (await hub.UntilNowAsync("done")).Order());
    }

    [Fact]
    public async Task A_statement_that_fails_half_way_announces_what_stayed()
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, "t", "done");
        await hub.Sqlite3Async("INSERT OR FAIL INTO t (id, code) VALUES (4, 'four'), (5, 'one'), (6, 'six');", expectFailure: true);
        await hub.Sqlite3Async("INSERT INTO t (id, code) VALUES (7, 'seven'), (8, 'one');", expectFailure: true);
        Assert.Equal(["insert 4"], await hub.UntilNowAsync("done"));
    }

    [Fact]
    public async Task An_or_clause_of_the_application_never_fails_in_our_triggers()
    {
        await using var hub = await LiveDatabase.StartAsync(Schema, "t", "done");
        foreach (var or in new[] { "ABORT", "FAIL", "ROLLBACK", "IGNORE", "REPLACE" })
        {
            // Leaves a noted row behind, and meets it again.
            await hub.RawAsync("INSERT OR IGNORE INTO t (id) VALUES (1)");
            await hub.RawAsync("INSERT OR IGNORE INTO t (id) VALUES (1)");
            await hub.RawAsync($"INSERT OR {or} INTO t (code) VALUES ('new {or}')");
            await hub.RawAsync($"UPDATE OR {or} t SET code = 'newer {or}' WHERE code = 'new {or}'");
        }

        Assert.Equal(["insert 4", "update 4", "insert 5", "update 5", "insert 6", "update 6", "insert 7", "update 7", "insert 8", "update 8"], await hub.UntilNowAsync("done"));
    }

    [Theory]
    [InlineData("CREATE TABLE t (code TEXT PRIMARY KEY, u INT UNIQUE)", "REPLACE INTO t VALUES ('a', 1); REPLACE INTO t VALUES ('a', 2); REPLACE INTO t VALUES ('b', 2)", new[] { "insert a", "update a", "delete a", "insert b" })]
    [InlineData("CREATE TABLE t (code TEXT PRIMARY KEY, u INT UNIQUE) WITHOUT ROWID", "REPLACE INTO t VALUES ('a', 1); REPLACE INTO t VALUES ('a', 2); REPLACE INTO t VALUES ('b', 2)", new[] { "insert a", "update a", "delete a", "insert b" })]
    [InlineData("CREATE TABLE t (a INT, b INT, u INT UNIQUE, PRIMARY KEY (b, a)) WITHOUT ROWID", "REPLACE INTO t VALUES (1, 2, 5); REPLACE INTO t VALUES (1, 2, 6); REPLACE INTO t VALUES (3, 4, 6)", new[] { "insert {\"b\":2,\"a\":1}", "update {\"b\":2,\"a\":1}", "delete {\"b\":2,\"a\":1}", "insert {\"b\":4,\"a\":3}" })]
    [InlineData("CREATE TABLE t (u INT UNIQUE, v INT)", "REPLACE INTO t VALUES (5, 0); REPLACE INTO t VALUES (5, 1)", new[] { "insert 1", "delete 1", "insert 2" })]
    [InlineData("CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT); CREATE UNIQUE INDEX i ON t (c COLLATE NOCASE)", "REPLACE INTO t (c) VALUES ('a'); REPLACE INTO t (c) VALUES ('A')", new[] { "insert 1", "delete 1", "insert 2" })]
    [InlineData("CREATE TABLE t (id INTEGER PRIMARY KEY DESC, v)", "REPLACE INTO t VALUES (5, 0); REPLACE INTO t VALUES (5, 1)", new[] { "insert 5", "update 5" })]
    public async Task Every_kind_of_key_is_followed(string schema, string statement, string[] expected)
    {
        await using var hub = await LiveDatabase.StartAsync(schema + "; CREATE TABLE done (id INTEGER PRIMARY KEY)", "t", "done");
        await hub.RawAsync(statement);
        Assert.Equal(expected, await hub.UntilNowAsync("done"));
    }
}
