using Carillon.Access;
using Carillon.Live;
using Carillon.Storage;
using Dapper;
using Magasin.Accueil;
using Magasin.Base;
using Magasin.Clients;
using Magasin.Connexions;
using Magasin.Produits;
using Magasin.Sql;
using Magasin.TableauDeBord;
using Magasin.Ventes;

namespace Magasin;

/// <summary>The shop: its own database, an HTTP API, its pages, and Carillon, which makes every screen follow every till.</summary>
internal static class Boutique
{
    public static async Task<WebApplication> CreateAsync(string[] args)
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = args, ContentRootPath = Maison.Find(args) });
        builder.Configuration["urls"] ??= Adresses.IsConfigured(builder.Configuration) ? null : "http://0.0.0.0:8080";
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.AddServerHeader = false);
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddProblemDetails();
        builder.Services.Configure<RouteHandlerOptions>(routes => routes.ThrowOnBadRequest = true);   // answered as a problem, in Problemes

        var file = Path.GetFullPath(builder.Configuration["Magasin:Database"] ?? "magasin.db", builder.Environment.ContentRootPath);
        builder.Services.AddCarillon(carillon =>
        {
            carillon.Database = $"sqlite:{file}";
            carillon.Changes.Tables = ["produits", "clients", "ventes"];
            // A shop on its own network: whoever reaches the till may use it.
            carillon.AllowAnonymous = true;
            carillon.ChangesAudience = Audience.Everyone;
            carillon.Areas.Add(new Area(QuiEstLa.Channel, "connexions") { Audience = Audience.Everyone });
        });
        builder.Services.AddSingleton<Histoire>();
        builder.Services.AddSingleton<QuiEstLa>();
        builder.Services.AddHostedService(services => services.GetRequiredService<QuiEstLa>());

        SqlMapper.AddTypeHandler(new Id.Column());
        var app = builder.Build();
        await Schema.EnsureAsync(app.Services.GetRequiredService<Database>(), app.Services.GetRequiredService<TimeProvider>(), app.Logger, CancellationToken.None);

        app.UseProblemes();
        app.UsePages();
        app.MapCarillon();
        app.MapProduits();
        app.MapClients();
        app.MapVentes();
        app.MapTableauDeBord();
        app.MapConnexions();
        if (app.Configuration.GetValue<bool?>("Magasin:AllowSql") ?? app.Environment.IsDevelopment()) app.MapSql();
        app.Lifetime.ApplicationStarted.Register(() => Adresses.Print(app, Console.Out));
        return app;
    }
}
