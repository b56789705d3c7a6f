namespace Magasin.Ventes;

internal static class VentesApi
{
    public static void MapVentes(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/ventes", LireVentes.ListAsync);
        app.MapPost("/api/ventes", Vendre.CreateAsync);
        app.MapGet("/api/ventes/{id}", LireVentes.GetAsync);
        app.MapPut("/api/ventes/{id}", Vendre.ReplaceAsync);
        app.MapDelete("/api/ventes/{id}", Vendre.CancelAsync);
    }
}
