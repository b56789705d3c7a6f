using Carillon.Storage;
using Magasin.Data;
using Microsoft.Data.Sqlite;

namespace Magasin.Products;

/// <summary>A product: its price in cents, and its stock.</summary>
internal sealed record Product
{
    public Id Id { get; init; }
    public string Nom { get; init; } = "";
    public long Prix { get; init; }
    public long Stock { get; init; }
}

internal static class ProductsApi
{
    internal sealed record Request(string? Nom, long? Prix, long? Stock)
    {
        public string? Problem() =>
            string.IsNullOrWhiteSpace(Nom) || Nom.Length > 200 ? "nom must be a text of 1 to 200 characters." :
            Nom.Any(char.IsControl) ? "nom may hold no control characters." :
            Prix is null or < 0 or > 1_000_000_000 ? "prix must be a number of cents, from 0." :
            Stock is < 0 or > 1_000_000_000 ? "stock must be a number, from 0." : null;
    }

    public static void MapProducts(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/produits", ListAsync);
        app.MapPost("/api/produits", CreateAsync);
        app.MapGet("/api/produits/{id}", GetAsync);
        app.MapPut("/api/produits/{id}", ReplaceAsync);
        app.MapDelete("/api/produits/{id}", DeleteAsync);
    }

    static async Task<IResult> ListAsync(string? limit, string? cursor, Database db, CancellationToken ct)
    {
        if (!Page.TryRead(limit, cursor, out var page, out var problem)) return Problems.Invalid(problem);
        var rows = await db.QueryAsync<Product>(
            "SELECT id, nom, prix, stock FROM produits WHERE @after IS NULL OR id > @after ORDER BY id LIMIT @count",
            new { after = page.After, count = page.Limit + 1 }, ct);
        return Results.Ok(page.Of(rows, row => row.Id));
    }

    static async Task<IResult> GetAsync(string id, Database db, CancellationToken ct) =>
        await db.QuerySingleOrDefaultAsync<Product>(
            "SELECT id, nom, prix, stock FROM produits WHERE id = @id", new { id = Id.Parse(id) }, ct) is { } found
            ? Results.Ok(found)
            : Problems.NotFound("product");

    static async Task<IResult> CreateAsync(Request request, HttpContext http, Database db, SqlLog histoire, CancellationToken ct)
    {
        if (request.Problem() is { } problem) return Problems.Invalid(problem);
        var demande = IdempotentAnswers.Of(http, request);
        await using var tx = await db.BeginAsync(Till.Of(http), ct);
        if (await IdempotentAnswers.BeforeAsync<Product>(tx, demande, ct) is { } before) return before;

        histoire.Executing("INSERT INTO produits …");
        var id = await tx.ExecuteScalarAsync<long>("INSERT INTO produits (nom, prix, stock) VALUES (@nom, @prix, @stock) RETURNING id",
            new { nom = request.Nom!.Trim(), prix = request.Prix, stock = request.Stock ?? 0 }, ct);
        var created = new Product { Id = new Id(id), Nom = request.Nom.Trim(), Prix = request.Prix!.Value, Stock = request.Stock ?? 0 };
        return await IdempotentAnswers.CreatedAsync(tx, demande, $"/api/produits/{id}", created, ct);
    }

    static async Task<IResult> ReplaceAsync(
        string id, Request request, HttpContext http, Database db, SqlLog histoire, CancellationToken ct)
    {
        if (request.Problem() is { } problem) return Problems.Invalid(problem);
        await using var tx = await db.BeginAsync(Till.Of(http), ct);
        histoire.Executing("UPDATE produits …");
        // A stock that is left out stays: whoever corrects a price must not undo a sale.
        var changed = await tx.ExecuteAsync("UPDATE produits SET nom = @nom, prix = @prix, stock = coalesce(@stock, stock) WHERE id = @id",
            new { id = Id.Parse(id), nom = request.Nom!.Trim(), prix = request.Prix, stock = request.Stock }, ct);
        if (changed == 0) return Problems.NotFound("product");
        var now = await tx.QuerySingleOrDefaultAsync<Product>(
            "SELECT id, nom, prix, stock FROM produits WHERE id = @id", new { id = Id.Parse(id) }, ct);
        await tx.CommitAsync(ct);
        return Results.Ok(now);
    }

    static async Task<IResult> DeleteAsync(string id, HttpContext http, Database db, SqlLog histoire, CancellationToken ct)
    {
        await using var tx = await db.BeginAsync(Till.Of(http), ct);
        histoire.Executing("DELETE FROM produits …");
        try
        {
            if (await tx.ExecuteAsync("DELETE FROM produits WHERE id = @id", new { id = Id.Parse(id) }, ct) == 0) return Problems.NotFound(
                "product");
        }
        catch (SqliteException ex) when (ex.SqliteErrorCode == 19)
        {
            return Problems.Conflict("The product was sold before: it stays, for the sake of those sales.");
        }

        await tx.CommitAsync(ct);
        return Results.NoContent();
    }
}
