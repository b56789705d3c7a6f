using Dapper;
using Microsoft.Data.Sqlite;

namespace Carillon.Tests.Storage;

/// <summary>The write lock of a database, held as another program holds it.</summary>
static class ForeignLock
{
    public static async Task<SqliteConnection> TakeAsync(string file)
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = file, Pooling = false }.ConnectionString);
        await connection.OpenAsync();
        await connection.ExecuteAsync("PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE");
        return connection;
    }
}
