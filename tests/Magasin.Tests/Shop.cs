using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Carillon.Channels;
using Carillon.Storage;
using Magasin.Home;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;

namespace Magasin.Tests;

/// <summary>The real shop, on a free port of this machine, with a new database and pages of its own.</summary>
public sealed class Shop : IAsyncDisposable
{
    readonly DirectoryInfo folder;
    readonly WebApplication app;

    Shop(DirectoryInfo folder, WebApplication app, HttpClient http) => (this.folder, this.app, Http) = (folder, app, http);

    public HttpClient Http { get; }

    public Database Db => app.Services.GetRequiredService<Database>();

    public IChannelLayer Layer => app.Services.GetRequiredService<IChannelLayer>();

    static CancellationToken Ct => TestContext.Current.CancellationToken;

    public static async Task<Shop> OpenAsync(params string[] settings)
    {
        var folder = Directory.CreateTempSubdirectory("magasin-");
        var pages = folder.CreateSubdirectory("wwwroot");
        pages.CreateSubdirectory("assets");
        await File.WriteAllTextAsync(Path.Combine(pages.FullName, "index.html"), "<!doctype html><script>one()</script><p>the shop</p>", Ct);
        await File.WriteAllTextAsync(Path.Combine(pages.FullName, "assets", "index-abc123.js"), "one", Ct);
        var app = await ShopServer.CreateAsync(["--contentRoot", folder.FullName, "--urls", "http://127.0.0.1:0", "--Logging:LogLevel:Default", "Warning", .. settings]);
        await app.StartAsync(Ct);
        var address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();
        return new Shop(folder, app, new HttpClient { BaseAddress = new Uri(address) });
    }

    public async Task<(HttpStatusCode Status, JsonElement Body)> GetAsync(string path) => await ReadAsync(await Http.GetAsync(path, Ct));

    public async Task<(HttpStatusCode Status, JsonElement Body)> PostAsync(string path, object body) => await ReadAsync(await Http.PostAsJsonAsync(path, body, Ct));

    public async Task<(HttpStatusCode Status, JsonElement Body)> PutAsync(string path, object body) => await ReadAsync(await Http.PutAsJsonAsync(path, body, Ct));

    public async Task<(HttpStatusCode Status, JsonElement Body)> DeleteAsync(string path) => await ReadAsync(await Http.DeleteAsync(path, Ct));

    public async Task<string> NewProductAsync(int stock, int prix = 250) =>
        (await PostAsync("/api/produits", new { nom = "Tournevis", prix, stock })).Body.GetProperty("id").GetString()!;

    public async Task<long> StockOfAsync(string product) => (await GetAsync($"/api/produits/{product}")).Body.GetProperty("stock").GetInt64();

    /// <summary>What the console says when the shop opens.</summary>
    public string Printed()
    {
        using var console = new StringWriter();
        Home.Addresses.Print(app, console);
        return console.ToString();
    }

    public static async Task<(HttpStatusCode Status, JsonElement Body)> ReadAsync(HttpResponseMessage response)
    {
        var text = await response.Content.ReadAsStringAsync(Ct);
        if (text.Length == 0) return (response.StatusCode, default);
        using var document = JsonDocument.Parse(text);
        var body = document.RootElement.Clone();
        if ((int)response.StatusCode < 400) return (response.StatusCode, body);

        // Whatever goes wrong is a problem document.
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        Assert.Equal((int)response.StatusCode, body.GetProperty("status").GetInt32());
        Assert.NotEmpty(body.GetProperty("title").GetString()!);
        return (response.StatusCode, body);
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await app.StopAsync(CancellationToken.None);
        await app.DisposeAsync();
        folder.Delete(recursive: true);
    }
}
