namespace Magasin.Sales;

internal static class SalesApi
{
    public static void MapSales(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/ventes", ReadSales.ListAsync);
        app.MapPost("/api/ventes", Sell.CreateAsync);
        app.MapGet("/api/ventes/{id}", ReadSales.GetAsync);
        app.MapPut("/api/ventes/{id}", Sell.ReplaceAsync);
        app.MapDelete("/api/ventes/{id}", Sell.CancelAsync);
    }
}
