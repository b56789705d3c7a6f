using Carillon.Storage;

namespace Magasin.Data;

/// <summary>The shop's tables, made and filled at the first start, and left alone afterwards.</summary>
internal static partial class Schema
{
    public static async Task EnsureAsync(Database db, TimeProvider clock, ILogger logger, CancellationToken ct)
    {
        await using var tx = await db.BeginAsync(null, ct);
        if (await tx.ExecuteScalarAsync<long>(
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'ventes'", ct: ct) > 0) return;

        await tx.ExecuteAsync(await ReadAsync("0001_magasin.sql", ct), ct: ct);
        await SeedData.FillAsync(tx, clock, ct);
        await tx.CommitAsync(ct);
        LogCreated(logger, db.Path);
    }

    static async Task<string> ReadAsync(string name, CancellationToken ct)
    {
        await using var stream = typeof(Schema).Assembly.GetManifestResourceStream(name)!;
        using var reader = new StreamReader(stream);
        return await reader.ReadToEndAsync(ct);
    }

    [LoggerMessage(LogLevel.Information, "Created the shop's database, with goods, clients and past sales: {File}")]
    static partial void LogCreated(ILogger logger, string file);
}
