using Carillon.Storage;
using Dapper;
using Magasin.Data;

namespace Magasin.Sales;

internal static class ReadSales
{
    public static async Task<IResult> ListAsync(
        string? limit, string? cursor, string? jour, Database db, TimeProvider clock, CancellationToken ct)
    {
        if (!Page.TryRead(limit, cursor, out var page, out var problem)) return Problems.Invalid(problem);
        (string? From, string? To) of = (null, null);
        if (jour is not null)
        {
            if (!ShopTime.TryDay(jour, out var day)) return Problems.Invalid("jour must be a day, as 2026-01-31.");
            of = ShopTime.BoundsOf(day, clock.LocalTimeZone);
        }

        // The newest first.
        var rows = await db.QueryAsync<SaleRow>("""
            SELECT id, clientId, total, creeLe FROM ventes
            WHERE (@after IS NULL OR id < @after) AND (@from IS NULL OR (creeLe >= @from AND creeLe < @to))
            ORDER BY id DESC LIMIT @count
            """, new { after = page.After, from = of.From, to = of.To, count = page.Limit + 1 }, ct);
        var list = page.Of(rows, row => row.Id);
        var lignes = (await db.QueryAsync<LineRow>(
            "SELECT venteId, produitId, quantite, prixUnitaire FROM lignes WHERE venteId IN @ids ORDER BY id",
            new { ids = list.Items.Select(row => row.Id.Value) }, ct))
            .ToLookup(ligne => ligne.VenteId);
        return Results.Ok(new PageOf<Sale>([.. list.Items.Select(row => row.With(lignes[row.Id.Value]))], list.Next));
    }

    public static async Task<IResult> GetAsync(string id, Database db, CancellationToken ct)
    {
        await using var connection = await db.OpenReadAsync(ct);
        var row = await connection.QuerySingleOrDefaultAsync<SaleRow>(
            "SELECT id, clientId, total, creeLe FROM ventes WHERE id = @id", new { id = Id.Parse(id) });
        if (row is null) return Problems.NotFound("sale");
        var lignes = await connection.QueryAsync<LineRow>(
            "SELECT venteId, produitId, quantite, prixUnitaire FROM lignes WHERE venteId = @id ORDER BY id", new { id = row.Id.Value });
        return Results.Ok(row.With(lignes));
    }

    sealed class SaleRow
    {
        public Id Id { get; init; }
        public long? ClientId { get; init; }
        public long Total { get; init; }
        public string CreeLe { get; init; } = "";

        public Sale With(IEnumerable<LineRow> lignes) => new(Id, ClientId is { } client ? new Id(client) : null,
            [.. lignes.Select(ligne => new SaleLine(new Id(ligne.ProduitId), ligne.Quantite, ligne.PrixUnitaire))], Total, CreeLe);
    }

    sealed class LineRow
    {
        public long VenteId { get; init; }
        public long ProduitId { get; init; }
        public long Quantite { get; init; }
        public long PrixUnitaire { get; init; }
    }
}
