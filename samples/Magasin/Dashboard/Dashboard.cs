using System.Globalization;
using Carillon.Storage;
using Magasin.Data;
using Magasin.Products;

namespace Magasin.Dashboard;

/// <summary>The day at a glance: turnover (cents) and number of sales, what runs short, and the last seven days.</summary>
internal static class DashboardApi
{
    const int LowStock = 5;
    const int Days = 7;

    internal sealed record Figures(
        string Jour, long ChiffreAffaires, long NombreVentes, IReadOnlyList<Product> StockBas, IReadOnlyList<DayFigures> DerniersJours);

    internal sealed record DayFigures(string Jour, long ChiffreAffaires, long NombreVentes);

    public static void MapDashboard(this IEndpointRouteBuilder app) =>
        app.MapGet("/api/tableau-de-bord", async (Database db, TimeProvider clock, CancellationToken ct) =>
    {
        var today = ShopTime.Today(clock);
        var days = Enumerable.Range(0, Days).Select(n => today.AddDays(n - Days + 1)).ToList();
        var bounds = days.Select(day => (Jour: Jour(day), Bornes: ShopTime.BoundsOf(day, clock.LocalTimeZone))).ToList();
        // One row per day, whose bounds are moments: a day of the shop is not a day of UTC.
        var figures = (await db.QueryAsync<Total>("""
            SELECT json_extract(d.value, '$[0]') AS Jour, coalesce(sum(v.total), 0) AS Somme, count(v.id) AS Nombre
            FROM json_each(@days) d
            LEFT JOIN ventes v ON v.creeLe >= json_extract(d.value, '$[1]') AND v.creeLe < json_extract(d.value, '$[2]')
            GROUP BY d.key ORDER BY d.key
            """,
            new { days = System.Text.Json.JsonSerializer.Serialize(bounds.Select(day =>
                new[] { day.Jour, day.Bornes.From, day.Bornes.To })) }, ct))
            .Select(total => new DayFigures(total.Jour, total.Somme, total.Nombre)).ToList();
        var low = await db.QueryAsync<Product>(
            "SELECT id, nom, prix, stock FROM produits WHERE stock <= @LowStock ORDER BY stock, nom LIMIT 20", new { LowStock }, ct);
        return Results.Ok(new Figures(figures[^1].Jour, figures[^1].ChiffreAffaires, figures[^1].NombreVentes, low, figures));
    });

    static string Jour(DateOnly day) => day.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);

    sealed class Total
    {
        public string Jour { get; init; } = "";
        public long Somme { get; init; }
        public long Nombre { get; init; }
    }
}
