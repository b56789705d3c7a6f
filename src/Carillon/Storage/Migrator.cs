using System.Reflection;
using Dapper;

namespace Carillon.Storage;

/// <summary>
/// Carillon's own tables in the application's file: numbered, embedded .sql files, each applied once, under the write lock.
/// </summary>
internal static class Migrator
{
    sealed record Migration(int Number, string Name, string Resource);

    static readonly IReadOnlyList<Migration> All = [.. Find(Assembly.GetExecutingAssembly())];

    public static async Task ApplyAsync(Database db, CancellationToken ct)
    {
        // The lock first, then the look: of two processes that start together the second finds the work done.
        await using var tx = await db.BeginUnmigratedAsync(null, WriterLane.Administrative, Database.WriteTimeout, ct);
        await tx.ExecuteAsync("CREATE TABLE IF NOT EXISTS carillon_migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL)", ct: ct);
        var done = (await tx.QueryAsync<int>("SELECT number FROM carillon_migrations", ct: ct)).ToHashSet();
        foreach (var migration in All.Where(migration => !done.Contains(migration.Number)))
        {
            await tx.Connection.ExecuteAsync(new CommandDefinition(await ReadAsync(migration, ct), cancellationToken: ct));
            await tx.ExecuteAsync("INSERT INTO carillon_migrations (number, name) VALUES (@Number, @Name)", migration, ct);
        }

        await tx.CommitAsync(ct);
    }

    // "Carillon.Migrations.0001_changes.sql", wherever the file stands: its feature's folder says whose it is, the number when.
    static IEnumerable<Migration> Find(Assembly assembly) =>
        from resource in assembly.GetManifestResourceNames()
        where resource.Contains(".Migrations.", StringComparison.Ordinal) && resource.EndsWith(".sql", StringComparison.Ordinal)
        let name = resource[(resource.IndexOf(".Migrations.", StringComparison.Ordinal) + ".Migrations.".Length)..^".sql".Length]
        let number = int.Parse(name.AsSpan(0, name.IndexOf('_', StringComparison.Ordinal)))
        orderby number
        select new Migration(number, name, resource);

    static async Task<string> ReadAsync(Migration migration, CancellationToken ct)
    {
        await using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(migration.Resource)!;
        using var reader = new StreamReader(stream);
        return await reader.ReadToEndAsync(ct);
    }
}
