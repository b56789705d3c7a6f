using Carillon.Hub;
using Carillon.Storage;
using Dapper;
using Magasin.Connections;
using Magasin.Customers;
using Magasin.Dashboard;
using Magasin.Data;
using Magasin.Home;
using Magasin.Products;
using Magasin.Sales;
using Magasin.Sql;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.Data.Sqlite;

namespace Magasin;

/// <summary>The shop: its own database, an HTTP API, its pages, and Carillon, which makes every screen follow every till.</summary>
internal static class ShopServer
{
    /// <summary>Opens the shop until it is closed; answers the exit code.</summary>
    public static async Task<int> RunAsync(string[] args, TextWriter errors)
    {
        try
        {
            await using var app = await CreateAsync(args);
            await app.RunAsync();
            return 0;
        }
        catch (IOException ex) when (ex.InnerException is AddressInUseException)
        {
            await errors.WriteLineAsync($"The shop cannot open: {ex.Message} Choose another address, such as --urls http://0.0.0.0:9000.");
            return 1;
        }
        catch (DatabaseUnusableException ex)
        {
            await errors.WriteLineAsync(ex.Message);
            return 1;
        }
    }

    public static async Task<WebApplication> CreateAsync(string[] args)
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = args, ContentRootPath = ShopFolder.Find(args) });
        builder.Configuration["urls"] ??= Addresses.IsConfigured(builder.Configuration) ? null : "http://0.0.0.0:8080";
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.AddServerHeader = false);
        // A start that fails is reported in one sentence; the host would add a page of stack traces to it.
        var isOpen = false;
        builder.Logging.AddFilter(
            "Microsoft.Extensions.Hosting.Internal.Host", level => Volatile.Read(ref isOpen) && level >= LogLevel.Information);
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
            carillon.Shutdown.ReadinessDelay = TimeSpan.Zero;     // no load balancer asks
            carillon.Areas.Changes.Subscribe = Grant.Everyone;
            carillon.Areas.Add(new Area(ConnectedTills.Channel, "connexions") { Subscribe = Grant.Everyone });
        });
        builder.Services.AddSingleton<SqlLog>();
        builder.Services.AddSingleton<ConnectedTills>();
        builder.Services.AddHostedService(services => services.GetRequiredService<ConnectedTills>());

        SqlMapper.AddTypeHandler(new Id.Column());
        var app = builder.Build();
        try
        {
            await Schema.EnsureAsync(app.Services.GetRequiredService<Database>(), app.Services.GetRequiredService<TimeProvider>(),
                app.Logger, CancellationToken.None);
        }
        catch (Exception ex) when (ex is SqliteException or DatabaseUnavailableException or IOException or UnauthorizedAccessException)
        {
            await app.DisposeAsync();
            throw new DatabaseUnusableException(file, (ex as DatabaseUnavailableException)?.InnerException ?? ex);
        }

        app.UseProblems();
        app.UsePages();
        app.UseOriginCheck();
        app.MapCarillon();
        app.MapProducts();
        app.MapCustomers();
        app.MapSales();
        app.MapDashboard();
        app.MapConnections();
        if (SqlApi.IsAllowed(app.Configuration)) app.MapSql();
        app.Lifetime.ApplicationStarted.Register(() =>
        {
            Volatile.Write(ref isOpen, true);
            Addresses.Print(app, Console.Out);
        });
        return app;
    }
}
