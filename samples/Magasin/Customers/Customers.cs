using Carillon.Storage;
using Magasin.Data;
using Microsoft.Data.Sqlite;

namespace Magasin.Customers;

internal sealed record Customer
{
    public Id Id { get; init; }
    public string Nom { get; init; } = "";
    public string Telephone { get; init; } = "";
}

internal static class CustomersApi
{
    internal sealed record Request(string? Nom, string? Telephone)
    {
        public string? Problem() =>
            string.IsNullOrWhiteSpace(Nom) || Nom.Length > 200 ? "nom must be a text of 1 to 200 characters." :
            Telephone is { Length: > 50 } ? "telephone must have 50 characters at most." :
            $"{Nom}{Telephone}".Any(char.IsControl) ? "nom and telephone may hold no control characters." : null;
    }

    public static void MapCustomers(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/clients", ListAsync);
        app.MapPost("/api/clients", CreateAsync);
        app.MapGet("/api/clients/{id}", GetAsync);
        app.MapPut("/api/clients/{id}", ReplaceAsync);
        app.MapDelete("/api/clients/{id}", DeleteAsync);
    }

    static async Task<IResult> ListAsync(string? limit, string? cursor, Database db, CancellationToken ct)
    {
        if (!Page.TryRead(limit, cursor, out var page, out var problem)) return Problems.Invalid(problem);
        var rows = await db.QueryAsync<Customer>(
            "SELECT id, nom, telephone FROM clients WHERE @after IS NULL OR id > @after ORDER BY id LIMIT @count",
            new { after = page.After, count = page.Limit + 1 }, ct);
        return Results.Ok(page.Of(rows, row => row.Id));
    }

    static async Task<IResult> GetAsync(string id, Database db, CancellationToken ct) =>
        await db.QuerySingleOrDefaultAsync<Customer>(
            "SELECT id, nom, telephone FROM clients WHERE id = @id", new { id = Id.Parse(id) }, ct) is { } found
            ? Results.Ok(found)
            : Problems.NotFound("client");

    static async Task<IResult> CreateAsync(Request request, HttpContext http, Database db, SqlLog histoire, CancellationToken ct)
    {
        if (request.Problem() is { } problem) return Problems.Invalid(problem);
        var demande = IdempotentAnswers.Of(http, request);
        await using var tx = await db.BeginAsync(Till.Of(http), ct);
        if (await IdempotentAnswers.BeforeAsync<Customer>(tx, demande, ct) is { } before) return before;

        histoire.Executing("INSERT INTO clients …");
        var created = new Customer { Nom = request.Nom!.Trim(), Telephone = request.Telephone?.Trim() ?? "" };
        var id = await tx.ExecuteScalarAsync<long>(
            "INSERT INTO clients (nom, telephone) VALUES (@Nom, @Telephone) RETURNING id", new { created.Nom, created.Telephone }, ct);
        return await IdempotentAnswers.CreatedAsync(tx, demande, $"/api/clients/{id}", created with { Id = new Id(id) }, ct);
    }

    static async Task<IResult> ReplaceAsync(
        string id, Request request, HttpContext http, Database db, SqlLog histoire, CancellationToken ct)
    {
        if (request.Problem() is { } problem) return Problems.Invalid(problem);
        await using var tx = await db.BeginAsync(Till.Of(http), ct);
        histoire.Executing("UPDATE clients …");
        var client = new Customer { Id = new Id(Id.Parse(id)), Nom = request.Nom!.Trim(), Telephone = request.Telephone?.Trim() ?? "" };
        if (await tx.ExecuteAsync("UPDATE clients SET nom = @Nom, telephone = @Telephone WHERE id = @id",
            new { client.Nom, client.Telephone, id = client.Id.Value }, ct) == 0)
            return Problems.NotFound("client");
        await tx.CommitAsync(ct);
        return Results.Ok(client);
    }

    static async Task<IResult> DeleteAsync(string id, HttpContext http, Database db, SqlLog histoire, CancellationToken ct)
    {
        await using var tx = await db.BeginAsync(Till.Of(http), ct);
        histoire.Executing("DELETE FROM clients …");
        try
        {
            if (await tx.ExecuteAsync("DELETE FROM clients WHERE id = @id", new { id = Id.Parse(id) }, ct) == 0) return Problems.NotFound(
                "client");
        }
        catch (SqliteException ex) when (ex.SqliteErrorCode == 19)
        {
            return Problems.Conflict("The client has bought something: the sales keep the name.");
        }

        await tx.CommitAsync(ct);
        return Results.NoContent();
    }
}
