using Magasin.Data;

namespace Magasin.Sales;

/// <summary>A sale: to whom, of what, for how much (cents), and when.</summary>
internal sealed record Sale(Id Id, Id? ClientId, IReadOnlyList<SaleLine> Lignes, long Total, string CreeLe);

internal sealed record SaleLine(Id ProduitId, long Quantite, long PrixUnitaire);

/// <summary>A sale as the till sends it; the price may be left out, then it is the product's.</summary>
internal sealed record SaleRequest(Id? ClientId, IReadOnlyList<LineRequest?>? Lignes)
{
    public string? Problem() =>
        Lignes is null || Lignes.Count == 0 ? "lignes must hold at least one line." :
        Lignes.Count > 200 ? "lignes may hold 200 lines at most." :
        Lignes.Any(ligne => ligne?.ProduitId is null) ? "Each line needs a produitId." :
        Lignes.Any(ligne => ligne!.Quantite is null or < 1 or > 1_000_000) ? "quantite must be a whole number from 1 to 1,000,000." :
        Lignes.Any(ligne => ligne!.PrixUnitaire is < 0 or > 1_000_000_000) ? "prixUnitaire must be a number of cents, from 0." : null;
}

internal sealed record LineRequest(Id? ProduitId, long? Quantite, long? PrixUnitaire);
