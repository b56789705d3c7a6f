using Carillon.Storage;

namespace Magasin.Data;

/// <summary>The initial data of the shop: products, customers and a month of sales; always the same, counted back from today.</summary>
internal static class SeedData
{
    sealed record SeedProduct(string Nom, int Prix, int Stock);

    static readonly SeedProduct[] Produits =
    [
        new("Baguette tradition", 130, 60), new("Pain de campagne", 320, 18), new("Croissant au beurre", 120, 42),
        new("Lait demi-écrémé 1 L", 115, 48),
        new("Beurre doux 250 g", 289, 26), new("Œufs fermiers, boîte de 6", 265, 30), new("Comté 12 mois, 250 g", 545, 14),
        new("Yaourts nature, lot de 4", 178, 24),
        new("Jambon blanc, 4 tranches", 385, 16), new("Pommes Reinette, 1 kg", 290, 35), new("Pommes de terre, 2,5 kg", 349, 22),
        new("Carottes, 1 kg", 185, 28),
        new("Oignons jaunes, 1 kg", 165, 31), new("Salade verte", 140, 4), new("Tomates, 1 kg", 345, 3),
        new("Farine de blé T55, 1 kg", 125, 40),
        new("Sucre en poudre, 1 kg", 159, 38), new("Sel de Guérande, 500 g", 245, 19), new("Huile d’olive, 75 cl", 895, 12),
        new("Vinaigre de cidre, 75 cl", 275, 15),
        new("Pâtes coquillettes, 500 g", 129, 44), new("Riz long, 1 kg", 235, 27), new("Café moulu, 250 g", 420, 33),
        new("Thé noir, 25 sachets", 265, 21),
        new("Chocolat noir 70 %, 100 g", 210, 36), new("Confiture de fraises", 375, 17), new("Miel de châtaignier, 500 g", 890, 5),
        new("Eau minérale, 6 × 1,5 L", 310, 25),
        new("Jus de pomme, 1 L", 285, 20), new("Vin rouge de pays, 75 cl", 650, 32), new("Savon de Marseille, 300 g", 390, 23),
        new("Lessive liquide, 2 L", 895, 9),
        new("Liquide vaisselle, 500 ml", 215, 18), new("Papier toilette, 12 rouleaux", 549, 16), new("Ampoule LED E27", 490, 28),
        new("Piles AA, lot de 4", 595, 30),
        new("Ruban adhésif", 255, 13), new("Vis à bois 4 × 40, boîte de 100", 620, 11), new("Marteau de menuisier", 1490, 6),
        new("Mètre ruban 5 m", 890, 8),
        new("Gants de jardin", 690, 2), new("Terreau universel, 20 L", 745, 10),
    ];

    static readonly (string Nom, string Telephone)[] Clients =
    [
        ("Jeanne Morel", "06 12 34 56 01"), ("Paul Lefèvre", "06 12 34 56 02"), ("Amina Benali", "06 12 34 56 03"),
        ("Luc Garnier", "02 40 11 22 04"), ("Claire Rousseau", "06 12 34 56 05"),
        ("Mehdi Haddad", "07 12 34 56 06"), ("Sophie Lambert", "06 12 34 56 07"), ("Yves Le Goff", "02 98 11 22 08"),
        ("Nathalie Petit", "06 12 34 56 09"), ("Ibrahim Diallo", "07 12 34 56 10"),
        ("École du village", "02 40 11 22 11"), ("Mairie", "02 40 11 22 12"), ("Restaurant du Port", "02 40 11 22 13"),
        ("Marie Fontaine", "06 12 34 56 14"), ("Thomas Girard", "06 12 34 56 15"),
        ("Lucie Chevalier", "06 12 34 56 16"), ("Bernard Colin", "02 40 11 22 17"), ("Fatou Ndiaye", "07 12 34 56 18"),
        ("Hugo Martinez", "06 12 34 56 19"), ("Élodie Marchand", "06 12 34 56 20"),
        ("Pierre Dubois", "06 12 34 56 21"), ("Camping des Pins", "02 40 11 22 22"), ("Chloé Renaud", "06 12 34 56 23"),
        ("Antoine Barbier", "06 12 34 56 24"), ("Nguyen Thi Lan", "07 12 34 56 25"),
    ];

    public static async Task FillAsync(DatabaseTransaction tx, TimeProvider clock, CancellationToken ct)
    {
        await tx.ExecuteAsync("INSERT INTO produits (nom, prix, stock) VALUES (@Nom, @Prix, @Stock)", Produits, ct);
        await tx.ExecuteAsync("INSERT INTO clients (nom, telephone) VALUES (@Nom, @Telephone)", Clients.Select(client =>
            new { client.Nom, client.Telephone }), ct);

        var (ventes, lignes) = Ventes(clock);
        await tx.ExecuteAsync("INSERT INTO ventes (id, clientId, total, creeLe) VALUES (@Id, @ClientId, @Total, @CreeLe)", ventes, ct);
        await tx.ExecuteAsync(
            "INSERT INTO lignes (venteId, produitId, quantite, prixUnitaire) VALUES (@VenteId, @ProduitId, @Quantite, @PrixUnitaire)",
            lignes, ct);
    }

    internal sealed record SeedSale(long Id, long? ClientId, long Total, string CreeLe);

    internal sealed record SeedLine(long VenteId, long ProduitId, int Quantite, int PrixUnitaire);

    // About 200 sales over 30 days, more on Saturdays, none on Sundays unless today is one, and today's up to now.
    internal static (List<SeedSale>, List<SeedLine>) Ventes(TimeProvider clock)
    {
        var chance = new Randomness(20_260_105);
        var (now, today) = (clock.GetUtcNow(), ShopTime.Today(clock));
        var moments = new List<DateTimeOffset>();
        for (var back = 29; back >= 0; back--)
        {
            var day = today.AddDays(-back);
            var open = DateTimeOffset.Parse(
                ShopTime.BoundsOf(day, clock.LocalTimeZone).From, System.Globalization.CultureInfo.InvariantCulture);
            var busy = day.DayOfWeek switch { DayOfWeek.Saturday => 11, DayOfWeek.Sunday => back == 0 ? 6 : 0, _ => 7 };
            // Open from 8 to 19; today's sales lie between midnight and now, however early it is.
            var (from, length) = back > 0 ? (open.AddHours(8), TimeSpan.FromHours(11))
                : (now - open > TimeSpan.FromHours(9) ? open.AddHours(8) : open, TimeSpan.Zero);
            if (back == 0) length = now - from;
            moments.AddRange(Enumerable.Range(0, busy == 0 ? 0 : busy + chance.Below(2)).Select(_ =>
                from + (length * (chance.Below(10_000) / 10_000.0))).Order());
        }

        var (ventes, lignes) = (new List<SeedSale>(), new List<SeedLine>());
        foreach (var moment in moments)
        {
            var id = ventes.Count + 1;
            var sold = Enumerable.Range(0, 1 + chance.Below(5)).Select(_ => chance.Below(Produits.Length)).Distinct()
                .Select(product => new SeedLine(id, product + 1, 1 + chance.Below(3), Produits[product].Prix)).ToList();
            lignes.AddRange(sold);
            ventes.Add(new SeedSale(id, chance.Below(3) == 0 ? null : 1 + chance.Below(Clients.Length), sold.Sum(ligne =>
                (long)ligne.Quantite * ligne.PrixUnitaire), ShopTime.Iso(moment)));
        }

        return (ventes, lignes);
    }

    // Every shop begins alike: a linear congruence, not chance (Knuth's MMIX constants).
    sealed class Randomness(ulong state)
    {
        public int Below(int limit)
        {
            state = unchecked((state * 6364136223846793005UL) + 1442695040888963407UL);
            return (int)((state >> 33) % (ulong)limit);
        }
    }
}
