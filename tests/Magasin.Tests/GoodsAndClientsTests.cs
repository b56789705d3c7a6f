using System.Net;
using System.Net.Http.Json;
using System.Text;

namespace Magasin.Tests;

public sealed class GoodsAndClientsTests
{
    static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_shop_opens_with_goods_clients_and_past_sales()
    {
        await using var shop = await Shop.OpenAsync();
        Assert.InRange((await shop.GetAsync("/api/produits?limit=500")).Body.GetProperty("items").GetArrayLength(), 40, 60);
        Assert.Equal(25, (await shop.GetAsync("/api/clients?limit=500")).Body.GetProperty("items").GetArrayLength());
        Assert.InRange((await shop.GetAsync("/api/ventes?limit=500")).Body.GetProperty("items").GetArrayLength(), 150, 260);
    }

    [Fact]
    public async Task A_product_is_created_read_changed_and_deleted()
    {
        await using var shop = await Shop.OpenAsync();

        var response = await shop.Http.PostAsJsonAsync("/api/produits", new { nom = "  Clé à molette ", prix = 1990, stock = 4 }, Ct);
        var (status, created) = await Shop.ReadAsync(response);
        var id = created.GetProperty("id").GetString();
        Assert.Equal(HttpStatusCode.Created, status);
        Assert.Equal($"/api/produits/{id}", response.Headers.Location?.ToString());
        Assert.Equal($$"""{"id":"{{id}}","nom":"Clé à molette","prix":1990,"stock":4}""", created.GetRawText());

        Assert.Equal(created.GetRawText(), (await shop.GetAsync($"/api/produits/{id}")).Body.GetRawText());
        var (replaced, now) = await shop.PutAsync($"/api/produits/{id}", new { nom = "Clé", prix = 1500, stock = 9 });
        Assert.Equal((HttpStatusCode.OK, 1500L, 9L), (replaced, now.GetProperty("prix").GetInt64(), now.GetProperty("stock").GetInt64()));
        Assert.Equal(9, (await shop.PutAsync($"/api/produits/{id}", new { nom = "Clé", prix = 1 })).Body.GetProperty("stock").GetInt64());
        Assert.Equal(HttpStatusCode.NoContent, (await shop.DeleteAsync($"/api/produits/{id}")).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await shop.GetAsync($"/api/produits/{id}")).Status);
    }

    [Fact]
    public async Task A_client_is_created_read_changed_and_deleted()
    {
        await using var shop = await Shop.OpenAsync();
        var (status, created) = await shop.PostAsync("/api/clients", new { nom = "Zoé", telephone = "06 00 00 00 00" });
        var id = created.GetProperty("id").GetString();
        Assert.Equal(HttpStatusCode.Created, status);
        Assert.Equal("06 00 00 00 00", (await shop.GetAsync($"/api/clients/{id}")).Body.GetProperty("telephone").GetString());
        Assert.Equal("", (await shop.PutAsync($"/api/clients/{id}", new { nom = "Zoé B." })).Body.GetProperty("telephone").GetString());
        Assert.Equal(HttpStatusCode.NoContent, (await shop.DeleteAsync($"/api/clients/{id}")).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await shop.DeleteAsync($"/api/clients/{id}")).Status);
    }

    [Theory]
    [InlineData("produits", """{"nom":"","prix":1}""")]
    [InlineData("produits", """{"nom":"x"}""")]
    [InlineData("produits", """{"nom":"x","prix":-1}""")]
    [InlineData("produits", """{"nom":"x","prix":1.5}""")]
    [InlineData("produits", """{"nom":"x","prix":1,"stock":-1}""")]
    [InlineData("produits", """{"nom":["x"],"prix":1}""")]
    [InlineData("produits", """{"nom":""")]
    [InlineData("produits", "null")]
    [InlineData("produits", "[]")]
    [InlineData("clients", """{"telephone":"1"}""")]
    [InlineData("clients", "")]
    [InlineData("ventes", """{"lignes":[]}""")]
    [InlineData("ventes", """{"lignes":[null]}""")]
    [InlineData("ventes", """{"lignes":[{"quantite":1}]}""")]
    [InlineData("ventes", """{"lignes":[{"produitId":"1"}]}""")]
    [InlineData("ventes", """{"lignes":[{"produitId":"1","quantite":0}]}""")]
    [InlineData("ventes", """{"lignes":[{"produitId":true,"quantite":1}]}""")]
    [InlineData("ventes", """{"lignes":[{"produitId":"99999","quantite":1}]}""")]
    [InlineData("ventes", """{"lignes":[{"produitId":"x","quantite":1}]}""")]
    [InlineData("ventes", """{"clientId":"99999","lignes":[{"produitId":"1","quantite":1}]}""")]
    [InlineData("ventes", """{"lignes":[{"produitId":"1","quantite":1,"prixUnitaire":-5}]}""")]
    public async Task What_makes_no_sense_is_refused_with_the_code_invalid_payload(string list, string body)
    {
        await using var shop = await Shop.OpenAsync();
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        var (status, problem) = await Shop.ReadAsync(await shop.Http.PostAsync($"/api/{list}", content, Ct));
        Assert.Equal((HttpStatusCode.BadRequest, "invalid-payload"), (status, problem.GetProperty("code").GetString()));
        Assert.NotEmpty(problem.GetProperty("detail").GetString()!);
    }

    [Fact]
    public async Task A_body_that_is_not_json_is_refused()
    {
        await using var shop = await Shop.OpenAsync();
        using var content = new StringContent("nom=x&prix=1", Encoding.UTF8, "application/x-www-form-urlencoded");
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, (await Shop.ReadAsync(await shop.Http.PostAsync("/api/produits", content, Ct))).Status);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, (await shop.DeleteAsync("/api/produits")).Status);
    }

    [Theory]
    [InlineData("/api/produits/999999")]
    [InlineData("/api/produits/abc")]
    [InlineData("/api/clients/-1")]
    [InlineData("/api/ventes/99999999999999999999999")]
    [InlineData("/api/unknown")]
    public async Task What_does_not_exist_is_not_found(string path)
    {
        await using var shop = await Shop.OpenAsync();
        var (status, problem) = await shop.GetAsync(path);
        Assert.Equal((HttpStatusCode.NotFound, "not-found"), (status, problem.GetProperty("code").GetString()));
    }

    [Theory]
    [InlineData("produits")]
    [InlineData("clients")]
    [InlineData("ventes")]
    public async Task A_list_is_read_to_its_end_page_by_page(string list)
    {
        await using var shop = await Shop.OpenAsync();
        var whole = Ids((await shop.GetAsync($"/api/{list}?limit=500")).Body);
        var pages = new List<string>();
        string? cursor = null;
        do
        {
            var (_, page) = await shop.GetAsync($"/api/{list}?limit=7{(cursor is null ? "" : $"&cursor={cursor}")}");
            pages.AddRange(Ids(page));
            cursor = page.TryGetProperty("next", out var next) ? next.GetString() : null;
        }
        while (cursor is not null);

        Assert.Equal(whole, pages);
        Assert.Equal(Math.Min(50, whole.Count), Ids((await shop.GetAsync($"/api/{list}")).Body).Count);
        foreach (var bad in new[] { "limit=0", "limit=501", "limit=x", "cursor=%20", "cursor=AAAA", "cursor=aWQ6LTE" })
            Assert.Equal(HttpStatusCode.BadRequest, (await shop.GetAsync($"/api/{list}?{bad}")).Status);

        static List<string> Ids(System.Text.Json.JsonElement page) => [.. page.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("id").GetString()!)];
    }

    [Fact]
    public async Task What_was_sold_is_not_deleted()
    {
        await using var shop = await Shop.OpenAsync();
        foreach (var path in new[] { "/api/produits/1", "/api/clients/1" })
        {
            await shop.PostAsync("/api/ventes", new { clientId = "1", lignes = new[] { new { produitId = 1, quantite = 1 } } });
            var (status, problem) = await shop.DeleteAsync(path);
            Assert.Equal((HttpStatusCode.Conflict, "conflict"), (status, problem.GetProperty("code").GetString()));
        }
    }
}
