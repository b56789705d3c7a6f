using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;

namespace Magasin.Tests;

public sealed class SellingTests
{
    static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_sale_takes_its_goods_from_the_stock_and_cancelling_puts_them_back()
    {
        await using var shop = await Shop.OpenAsync();
        var (first, second) = (await shop.NewProductAsync(10, prix: 250), await shop.NewProductAsync(10, prix: 100));

        var (status, sale) = await shop.PostAsync("/api/ventes", new { clientId = "3", lignes = new object[] { new { produitId = first, quantite = 2 }, new { produitId = long.Parse(second), quantite = 3, prixUnitaire = 90 }, new { produitId = first, quantite = 1 } } });

        Assert.Equal(HttpStatusCode.Created, status);
        Assert.Equal((250 * 3) + (90 * 3), sale.GetProperty("total").GetInt64());
        Assert.Equal("3", sale.GetProperty("clientId").GetString());
        Assert.Equal($$"""[{"produitId":"{{first}}","quantite":2,"prixUnitaire":250},{"produitId":"{{second}}","quantite":3,"prixUnitaire":90},{"produitId":"{{first}}","quantite":1,"prixUnitaire":250}]""", sale.GetProperty("lignes").GetRawText());
        Assert.Matches(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", sale.GetProperty("creeLe").GetString());
        Assert.Equal((7L, 7L), (await shop.StockOfAsync(first), await shop.StockOfAsync(second)));

        var path = $"/api/ventes/{sale.GetProperty("id").GetString()}";
        Assert.Equal(sale.GetRawText(), (await shop.GetAsync(path)).Body.GetRawText());
        Assert.Equal(sale.GetRawText(), (await shop.GetAsync("/api/ventes?limit=1")).Body.GetProperty("items")[0].GetRawText());

        Assert.Equal(HttpStatusCode.NoContent, (await shop.DeleteAsync(path)).Status);
        Assert.Equal((10L, 10L), (await shop.StockOfAsync(first), await shop.StockOfAsync(second)));
        Assert.Equal(HttpStatusCode.NotFound, (await shop.DeleteAsync(path)).Status);
        Assert.Equal(10, await shop.StockOfAsync(first));
    }

    [Fact]
    public async Task A_sale_that_is_changed_counts_its_own_goods_as_available()
    {
        await using var shop = await Shop.OpenAsync();
        var product = await shop.NewProductAsync(5);
        var (_, sale) = await shop.PostAsync("/api/ventes", new { lignes = new[] { new { produitId = product, quantite = 5 } } });
        var path = $"/api/ventes/{sale.GetProperty("id").GetString()}";

        var (status, changed) = await shop.PutAsync(path, new { clientId = "1", lignes = new[] { new { produitId = product, quantite = 4, prixUnitaire = 1 } } });
        Assert.Equal((HttpStatusCode.OK, 4L), (status, changed.GetProperty("total").GetInt64()));
        Assert.Equal(sale.GetProperty("creeLe").GetString(), changed.GetProperty("creeLe").GetString());
        Assert.Equal(1, await shop.StockOfAsync(product));

        Assert.Equal(HttpStatusCode.Conflict, (await shop.PutAsync(path, new { lignes = new[] { new { produitId = product, quantite = 6 } } })).Status);
        Assert.Equal(1, await shop.StockOfAsync(product));
        Assert.Equal(changed.GetRawText(), (await shop.GetAsync(path)).Body.GetRawText());
        Assert.Equal(HttpStatusCode.NotFound, (await shop.PutAsync("/api/ventes/999999", new { lignes = new[] { new { produitId = product, quantite = 1 } } })).Status);
    }

    [Fact]
    public async Task More_than_there_is_cannot_be_sold_and_the_product_is_named()
    {
        await using var shop = await Shop.OpenAsync();
        var (rare, common) = (await shop.NewProductAsync(2), await shop.NewProductAsync(50));

        var (status, problem) = await shop.PostAsync("/api/ventes", new { lignes = new[] { new { produitId = common, quantite = 1 }, new { produitId = rare, quantite = 2 }, new { produitId = rare, quantite = 1 } } });

        Assert.Equal((HttpStatusCode.Conflict, "conflict"), (status, problem.GetProperty("code").GetString()));
        Assert.Contains("Tournevis", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Equal((2L, 50L), (await shop.StockOfAsync(rare), await shop.StockOfAsync(common)));
    }

    [Fact]
    public async Task Of_twenty_tills_that_sell_the_last_five_pieces_five_succeed()
    {
        await using var shop = await Shop.OpenAsync();
        var product = await shop.NewProductAsync(5);

        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => shop.PostAsync("/api/ventes", new { lignes = new[] { new { produitId = product, quantite = 1 } } })));

        Assert.Equal(5, answers.Count(answer => answer.Status == HttpStatusCode.Created));
        Assert.Equal(15, answers.Count(answer => answer.Status == HttpStatusCode.Conflict));
        Assert.Equal(0, await shop.StockOfAsync(product));
    }

    [Fact]
    public async Task A_sale_sent_twice_with_one_idempotency_key_happens_once()
    {
        await using var shop = await Shop.OpenAsync();
        var product = await shop.NewProductAsync(9);
        async Task<(HttpStatusCode Status, JsonElement Body)> SellAsync(string key, int quantite)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/api/ventes") { Content = JsonContent.Create(new { lignes = new[] { new { produitId = product, quantite } } }) };
            request.Headers.Add("Idempotency-Key", key);
            return await Shop.ReadAsync(await shop.Http.SendAsync(request, Ct));
        }

        var answers = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => SellAsync("till-1", 2)));

        Assert.Single(answers.Select(answer => answer.Body.GetRawText()).Distinct());
        Assert.All(answers, answer => Assert.Equal(HttpStatusCode.Created, answer.Status));
        Assert.Equal(7, await shop.StockOfAsync(product));
        Assert.Equal(HttpStatusCode.Conflict, (await SellAsync("till-1", 3)).Status);
        Assert.Equal(HttpStatusCode.Created, (await SellAsync("till-2", 2)).Status);
        Assert.Equal(5, await shop.StockOfAsync(product));
    }

    [Fact]
    public async Task The_dashboard_follows_the_sales_of_the_day()
    {
        await using var shop = await Shop.OpenAsync();
        var product = await shop.NewProductAsync(6, prix: 1000);
        var (_, before) = await shop.GetAsync("/api/tableau-de-bord");
        await shop.PostAsync("/api/ventes", new { lignes = new[] { new { produitId = product, quantite = 3 } } });

        var (status, after) = await shop.GetAsync("/api/tableau-de-bord");
        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal(before.GetProperty("chiffreAffaires").GetInt64() + 3000, after.GetProperty("chiffreAffaires").GetInt64());
        Assert.Equal(before.GetProperty("nombreVentes").GetInt64() + 1, after.GetProperty("nombreVentes").GetInt64());
        Assert.Equal(7, after.GetProperty("derniersJours").GetArrayLength());
        Assert.Equal(after.GetProperty("jour").GetString(), after.GetProperty("derniersJours")[6].GetProperty("jour").GetString());
        Assert.Equal(after.GetProperty("chiffreAffaires").GetInt64(), after.GetProperty("derniersJours")[6].GetProperty("chiffreAffaires").GetInt64());
        Assert.Contains(after.GetProperty("stockBas").EnumerateArray(), low => low.GetProperty("id").GetString() == product);

        var (_, day) = await shop.GetAsync($"/api/ventes?limit=500&jour={after.GetProperty("jour").GetString()}");
        Assert.Equal(after.GetProperty("nombreVentes").GetInt64(), day.GetProperty("items").GetArrayLength());
        Assert.Equal(HttpStatusCode.BadRequest, (await shop.GetAsync("/api/ventes?jour=yesterday")).Status);
    }

    [Fact]
    public async Task A_sale_is_one_change_of_the_sales_and_names_its_till()
    {
        await using var shop = await Shop.OpenAsync();
        var product = await shop.NewProductAsync(6);
        using var request = new HttpRequestMessage(HttpMethod.Post, "/api/ventes") { Content = JsonContent.Create(new { lignes = new[] { new { produitId = product, quantite = 2 } } }) };
        request.Headers.Add("X-Caisse", "Caisse%20d%C3%A9t%C3%A9");
        await shop.Http.SendAsync(request, Ct);

        var changes = await shop.Db.QueryAsync<(string Table, string Operation, string Actor)>(
            "SELECT table_name, operation, actor FROM carillon_changes WHERE actor IS NOT NULL ORDER BY id", ct: Ct);
        Assert.Equal([("ventes", "insert", "Caisse dété"), ("produits", "update", "Caisse dété")], changes);
    }
}
