using Carillon.Server.Configuration;
using Carillon.SocketIO.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration.Memory;

namespace Carillon.Server;

/// <summary>The server: Carillon on its paths, and beside it what operators and their tools ask for.</summary>
static class Host
{
    /// <summary>Puts the server together; it listens when it is started.</summary>
    /// <exception cref="InvalidOperationException">A setting cannot work; the message says which.</exception>
    public static WebApplication Create(Settings settings)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Configuration.Sources.Insert(0, new MemoryConfigurationSource { InitialData = QuietByDefault });
        builder.Configuration.AddInMemoryCollection(settings.OfTheHost);
        builder.WebHost.UseUrls([.. settings.Urls]);
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.AddServerHeader = false);
        builder.WebHost.UseSocketIO();
        var hostLog = new HostLog();
        hostLog.AddTo(builder.Logging);
        builder.Services.AddSingleton(hostLog);

        builder.Services.AddCarillon(settings.Apply);
        builder.Services.Configure<SocketIOOptions>(io => settings.Apply(io.Engine));
        builder.Services.AddCors(cors => cors.AddDefaultPolicy(policy => Origins.Allow(policy, settings.AllowedOrigins)));
        builder.Services.AddProblemDetails(problems => problems.CustomizeProblemDetails = Problems.AddCode);
        Telemetry.Add(builder.Services, settings);
        Description.Add(builder.Services);

        var app = builder.Build();
        _ = app.Services.GetRequiredService<SocketServer>();   // says now what is wrong with its settings
        app.Use(static (http, next) =>
        {
            // Set as the answer starts: what handles an exception clears the headers. Browsers must take nothing of ours for a script or a
            // page that is none.
            http.Response.OnStarting(static response =>
            {
                ((HttpResponse)response).Headers.XContentTypeOptions = "nosniff";
                return Task.CompletedTask;
            }, http.Response);
            return next(http);
        });
        app.UseExceptionHandler();
        app.UseWhen(http => http.Request.Path.StartsWithSegments("/api"), api => api.UseStatusCodePages().UseCors());
        app.MapCarillon();
        Health.Map(app);
        Telemetry.Map(app);
        Description.Map(app);
        if (settings.HasApiPage) ApiPage.Map(app);
        return app;
    }

    // Unless the configuration says otherwise: what an operator counts, and not every request.
    static readonly Dictionary<string, string?> QuietByDefault = new()
    {
        ["Logging:LogLevel:Default"] = "Information",
        ["Logging:LogLevel:Microsoft.AspNetCore"] = "Warning",
        ["Logging:LogLevel:Microsoft.Hosting.Lifetime"] = "Warning",
    };
}
