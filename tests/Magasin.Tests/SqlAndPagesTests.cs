using System.Net;
using Magasin.Data;
using Magasin.Home;

namespace Magasin.Tests;

public sealed class SqlAndPagesTests
{
    static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Any_statement_runs_where_it_is_allowed()
    {
        await using var shop = await Shop.OpenAsync("--Magasin:AllowSql", "true");

        var (status, updated) = await shop.PostAsync("/api/sql", new { statement = "UPDATE produits SET stock = stock + 1 WHERE id <= 3" });
        Assert.Equal((HttpStatusCode.OK, 3), (status, updated.GetProperty("rowsAffected").GetInt32()));

        var (_, selected) = await shop.PostAsync("/api/sql", new { statement = "SELECT 1 AS un, 'deux' AS deux, NULL AS rien, x'00ff' AS octets, 1.5 AS reel, 9e999 AS infini" });
        Assert.Equal("""["un","deux","rien","octets","reel","infini"]""", selected.GetProperty("columns").GetRawText());
        Assert.Equal(6, selected.GetProperty("rows")[0].GetArrayLength());
        var (_, many) = await shop.PostAsync("/api/sql", new { statement = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n" });
        Assert.Equal(200, many.GetProperty("rows").GetArrayLength());
    }

    [Theory]
    [InlineData("SELEC 1", "syntax error")]
    [InlineData("UPDATE produits SET stock = -1 WHERE id = 1", "CHECK")]
    [InlineData("INSERT INTO nowhere VALUES (1)", "no such table")]
    [InlineData("SELECT @value", "")]
    [InlineData(" ", "")]
    public async Task A_statement_that_fails_says_why(string statement, string why)
    {
        await using var shop = await Shop.OpenAsync("--Magasin:AllowSql", "true");
        var (status, problem) = await shop.PostAsync("/api/sql", new { statement });
        Assert.Equal((HttpStatusCode.BadRequest, "invalid-payload"), (status, problem.GetProperty("code").GetString()));
        Assert.Contains(why, problem.GetProperty("detail").GetString(), StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task A_transaction_that_is_left_open_harms_nobody()
    {
        await using var shop = await Shop.OpenAsync("--Magasin:AllowSql", "true");
        await shop.PostAsync("/api/sql", new { statement = "BEGIN IMMEDIATE; DELETE FROM lignes" });
        Assert.Equal(HttpStatusCode.Created, (await shop.PostAsync("/api/produits", new { nom = "x", prix = 1 })).Status);
        Assert.NotEqual(0, (await shop.GetAsync("/api/ventes")).Body.GetProperty("items")[0].GetProperty("lignes").GetArrayLength());
    }

    [Fact]
    public async Task Statements_are_off_unless_allowed()
    {
        foreach (var environment in new[] { "Production", "Development" })
        {
            await using var shop = await Shop.OpenAsync("--environment", environment);
            Assert.Equal(HttpStatusCode.NotFound, (await shop.PostAsync("/api/sql", new { statement = "SELECT 1" })).Status);
            await using var refused = await Shop.OpenAsync("--environment", environment, "--Magasin:AllowSql", "false");
            Assert.Equal(HttpStatusCode.NotFound, (await refused.PostAsync("/api/sql", new { statement = "SELECT 1" })).Status);
            await using var allowed = await Shop.OpenAsync("--environment", environment, "--Magasin:AllowSql", "true");
            Assert.Equal(HttpStatusCode.OK, (await allowed.PostAsync("/api/sql", new { statement = "SELECT 1" })).Status);
        }
    }

    [Fact]
    public async Task Pages_are_served_with_the_right_caching_and_nothing_foreign_in_them()
    {
        await using var shop = await Shop.OpenAsync();
        foreach (var path in new[] { "/", "/index.html", "/ventes/nouvelle" })
        {
            var page = await shop.Http.GetAsync(path, Ct);
            Assert.Equal((HttpStatusCode.OK, "text/html"), (page.StatusCode, page.Content.Headers.ContentType?.MediaType));
            Assert.True(page.Headers.CacheControl?.NoCache);
            Assert.Contains("the shop", await page.Content.ReadAsStringAsync(Ct), StringComparison.Ordinal);
            Assert.Equal("nosniff", page.Headers.GetValues("X-Content-Type-Options").Single());
            Assert.Contains("script-src 'self' 'sha256-", page.Headers.GetValues("Content-Security-Policy").Single(), StringComparison.Ordinal);
        }

        var asset = await shop.Http.GetAsync("/assets/index-abc123.js", Ct);
        Assert.Contains("immutable", asset.Headers.CacheControl?.ToString(), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.NotFound, (await shop.Http.GetAsync("/assets/index-old.js", Ct)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await shop.Http.GetAsync("/magasin.db", Ct)).StatusCode);
    }

    [Fact]
    public void The_console_names_what_other_machines_can_open()
    {
        Assert.Equal("http://localhost:8080 | http://192.168.1.7:8080, http://10.0.0.2:8080", Told("http://0.0.0.0:8080", "192.168.1.7", "10.0.0.2"));
        Assert.Equal("http://localhost:8080 | http://10.0.0.2:8080", Told("http://[::]:8080", "10.0.0.2"));
        Assert.Equal("http://127.0.0.1:5000 | ", Told("http://127.0.0.1:5000", "10.0.0.2"));
        Assert.Equal(" | https://10.0.0.9:8443", Told("https://10.0.0.9:8443", "10.0.0.2"));

        static string Told(string listening, params string[] local)
        {
            var (here, others) = Addresses.Of([listening], local);
            return $"{string.Join(", ", here)} | {string.Join(", ", others)}";
        }
    }

    [Theory]
    [InlineData("", null)]
    [InlineData("Caisse%203", "Caisse 3")]
    [InlineData("Caisse%0A%203%ZZ", "Caisse 3%ZZ")]
    [InlineData("%20%20", null)]
    public void A_till_names_itself(string header, string? name) => Assert.Equal(name, Till.Read(header));

    [Fact]
    public void A_day_of_the_shop_is_that_of_its_own_clock()
    {
        var paris = TimeZoneInfo.CreateCustomTimeZone("paris", TimeSpan.FromHours(2), "paris", "paris");
        Assert.Equal(("2026-06-30T22:00:00.000Z", "2026-07-01T22:00:00.000Z"), ShopTime.BoundsOf(new DateOnly(2026, 7, 1), paris));
    }

    [Fact]
    public async Task The_shop_opens_again_with_what_it_had()
    {
        var file = Path.Combine(Directory.CreateTempSubdirectory("magasin-").FullName, "kept.db");
        string id;
        await using (var shop = await Shop.OpenAsync("--Magasin:Database", file)) id = await shop.NewProductAsync(3);
        await using (var again = await Shop.OpenAsync("--Magasin:Database", file)) Assert.Equal(3, await again.StockOfAsync(id));
        Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
    }
}
