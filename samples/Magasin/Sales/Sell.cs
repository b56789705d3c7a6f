using System.Text.Json;
using Carillon.Storage;
using Magasin.Data;
using Magasin.Products;

namespace Magasin.Sales;

/// <summary>
/// A sale and its goods leave together: sale, lines and stock in one transaction, which holds the write lock from its start. Two tills
/// that sell the last piece at once cannot both succeed.
/// </summary>
internal static class Sell
{
    public static async Task<IResult> CreateAsync(
        SaleRequest request, HttpContext http, Database db, TimeProvider clock, SqlLog histoire, CancellationToken ct)
    {
        if (request.Problem() is { } problem) return Problems.Invalid(problem);
        var demande = IdempotentAnswers.Of(http, request);
        await using var tx = await db.BeginAsync(Till.Of(http), ct);
        if (await IdempotentAnswers.BeforeAsync<Sale>(tx, demande, ct) is { } before) return before;

        var (lignes, refused) = await CheckAsync(tx, request, ct);
        if (refused is not null) return refused;

        histoire.Executing("INSERT INTO ventes …");
        var vente = new Sale(default, request.ClientId, lignes, Total(lignes), ShopTime.Now(clock));
        var id = await tx.ExecuteScalarAsync<long>(
            "INSERT INTO ventes (clientId, total, creeLe) VALUES (@client, @Total, @CreeLe) RETURNING id",
            new { client = vente.ClientId?.Value, vente.Total, vente.CreeLe }, ct);
        await TakeAsync(tx, id, lignes, histoire, ct);
        return await IdempotentAnswers.CreatedAsync(tx, demande, $"/api/ventes/{id}", vente with { Id = new Id(id) }, ct);
    }

    public static async Task<IResult> ReplaceAsync(
        string id, SaleRequest request, HttpContext http, Database db, SqlLog histoire, CancellationToken ct)
    {
        if (request.Problem() is { } problem) return Problems.Invalid(problem);
        await using var tx = await db.BeginAsync(Till.Of(http), ct);
        var key = Id.Parse(id);
        var creeLe = await tx.ExecuteScalarAsync<string>("SELECT creeLe FROM ventes WHERE id = @key", new { key }, ct);
        if (creeLe is null) return Problems.NotFound("sale");

        await PutBackAsync(tx, key, histoire, ct);   // first, so that the goods of the sale itself can be sold again
        var (lignes, refused) = await CheckAsync(tx, request, ct);
        if (refused is not null) return refused;

        histoire.Executing("UPDATE ventes …");
        var vente = new Sale(new Id(key), request.ClientId, lignes, Total(lignes), creeLe);
        await tx.ExecuteAsync("UPDATE ventes SET clientId = @client, total = @Total WHERE id = @key",
            new { client = vente.ClientId?.Value, vente.Total, key }, ct);
        await TakeAsync(tx, key, lignes, histoire, ct);
        await tx.CommitAsync(ct);
        return Results.Ok(vente);
    }

    /// <summary>Cancels a sale: what was sold is in stock again.</summary>
    public static async Task<IResult> CancelAsync(string id, HttpContext http, Database db, SqlLog histoire, CancellationToken ct)
    {
        await using var tx = await db.BeginAsync(Till.Of(http), ct);
        var key = Id.Parse(id);
        await PutBackAsync(tx, key, histoire, ct);
        histoire.Executing("DELETE FROM ventes …");
        if (await tx.ExecuteAsync("DELETE FROM ventes WHERE id = @key", new { key }, ct) == 0) return Problems.NotFound("sale");
        await tx.CommitAsync(ct);
        return Results.NoContent();
    }

    // Whether everything that is to be sold exists and is there; with the prices that the till left out.
    static async Task<(List<SaleLine> Lignes, IResult? Refused)> CheckAsync(
        DatabaseTransaction tx, SaleRequest request, CancellationToken ct)
    {
        if (request.ClientId is { } client
            && await tx.ExecuteScalarAsync<long>("SELECT count(*) FROM clients WHERE id = @id", new { id = client.Value }, ct) == 0)
            return ([], Problems.Invalid("There is no such client."));

        var wanted = request.Lignes!.Select(ligne => ligne!).ToList();
        var produits = (await tx.QueryAsync<Products.Product>("SELECT id, nom, prix, stock FROM produits WHERE id IN @ids",
            new { ids = wanted.Select(ligne => ligne.ProduitId!.Value.Value).Distinct() }, ct)).ToDictionary(produit => produit.Id);
        if (wanted.Any(ligne => !produits.ContainsKey(ligne.ProduitId!.Value))) return ([], Problems.Invalid("There is no such product."));

        foreach (var sold in wanted.GroupBy(ligne => ligne.ProduitId!.Value))
            if (produits[sold.Key] is var produit && sold.Sum(ligne => ligne.Quantite!.Value) > produit.Stock)
                return ([], Problems.Conflict($"Only {produit.Stock} of \"{produit.Nom}\" are in stock."));

        return ([.. wanted.Select(ligne =>
            new SaleLine(ligne.ProduitId!.Value, ligne.Quantite!.Value, ligne.PrixUnitaire ?? produits[ligne.ProduitId.Value].Prix))],
            null);
    }

    static async Task TakeAsync(DatabaseTransaction tx, long vente, List<SaleLine> lignes, SqlLog histoire, CancellationToken ct)
    {
        await tx.ExecuteAsync("""
            INSERT INTO lignes (venteId, produitId, quantite, prixUnitaire)
            SELECT @vente, json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(@lignes)
            """,
            new { vente, lignes = JsonSerializer.Serialize(lignes.Select(ligne =>
                new[] { ligne.ProduitId.Value, ligne.Quantite, ligne.PrixUnitaire })) }, ct);
        histoire.Executing("UPDATE produits …");
        await tx.ExecuteAsync("""
            UPDATE produits SET stock = stock - (SELECT sum(quantite) FROM lignes WHERE venteId = @vente AND produitId = produits.id)
            WHERE id IN (SELECT produitId FROM lignes WHERE venteId = @vente)
            """, new { vente }, ct);
    }

    static async Task PutBackAsync(DatabaseTransaction tx, long vente, SqlLog histoire, CancellationToken ct)
    {
        histoire.Executing("UPDATE produits …");
        await tx.ExecuteAsync("""
            UPDATE produits SET stock = stock + (SELECT sum(quantite) FROM lignes WHERE venteId = @vente AND produitId = produits.id)
            WHERE id IN (SELECT produitId FROM lignes WHERE venteId = @vente)
            """, new { vente }, ct);
        await tx.ExecuteAsync("DELETE FROM lignes WHERE venteId = @vente", new { vente }, ct);
    }

    // The limits of a request (200 lines of a million pieces at ten million each) stay far below what a long holds.
    static long Total(List<SaleLine> lignes) => lignes.Sum(ligne => ligne.Quantite * ligne.PrixUnitaire);
}
