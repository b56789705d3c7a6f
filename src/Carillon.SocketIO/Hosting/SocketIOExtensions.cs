using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Hosting;
using Carillon.SocketIO.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Microsoft.AspNetCore.Builder;

/// <summary>Adds a Socket.IO or Engine.IO server to an ASP.NET Core application.</summary>
public static class SocketIOExtensions
{
    /// <summary>Adds the Socket.IO server to the services: inject <see cref="SocketServer"/> where something is sent or handled.</summary>
    /// <param name="services">The application's services.</param>
    /// <param name="configure">Changes the settings; their defaults suit stock clients.</param>
    public static IServiceCollection AddSocketIO(this IServiceCollection services, Action<SocketIOOptions>? configure = null)
    {
        services.AddOptions<SocketIOOptions>();
        if (configure is not null) services.Configure(configure);
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<SocketServer>();
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IHostedService, SocketServerLifetime>());
        services.TryAddSingleton<DirectRoutes>();
        services.TryAddEnumerable(ServiceDescriptor.Transient<IStartupFilter, ForwardedHeadersFilter>());
        return services;
    }

    /// <summary>
    /// Takes plain WebSocket handshakes of the Socket.IO server off the connections before HTTP does, and moves frames straight to and from
    /// the socket: about half the memory and CPU of
    /// a connection. Middlewares and authentication of ASP.NET Core do not see these requests; polling, TLS and all else go on to HTTP as
    /// usual. Addresses that are banned or have
    /// too many half-open connections are turned away before anything is read, whatever they want. It replaces the socket transport of
    /// Kestrel for all its endpoints: call it
    /// after <c>UseSockets</c>, whose options it uses.
    /// </summary>
    /// <param name="web">The web host.</param>
    public static IWebHostBuilder UseSocketIO(this IWebHostBuilder web) => web.ConfigureServices(services =>
    {
        services.TryAddSingleton<DirectRoutes>();
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<IConnectionListenerFactory, DirectTransport>();
        services.TryAddEnumerable(ServiceDescriptor.Transient<IStartupFilter, WholeRequests>());
    });

    /// <summary>Gives the Socket.IO server its path.</summary>
    /// <param name="endpoints">The application.</param>
    /// <param name="path">The path; stock clients expect <c>/socket.io</c>.</param>
    public static IEndpointConventionBuilder MapSocketIO(this IEndpointRouteBuilder endpoints, string path = "/socket.io")
    {
        var server = endpoints.ServiceProvider.GetRequiredService<SocketServer>();
        return Map(endpoints, path, server.Engine, server.Options.ServeClient);
    }

    /// <summary>Adds a bare Engine.IO server, for plain messages without Socket.IO.</summary>
    /// <param name="endpoints">The application.</param>
    /// <param name="path">The path; stock clients expect <c>/engine.io</c>.</param>
    /// <param name="connected">Called for each new connection: set its callbacks here.</param>
    /// <param name="configure">Changes the settings.</param>
    public static IEndpointConventionBuilder MapEngineIO(
        this IEndpointRouteBuilder endpoints, string path, Action<EngineSocket> connected, Action<EngineOptions>? configure = null)
    {
        var options = new EngineOptions();
        configure?.Invoke(options);
        var server = new EngineServer(options, connected, endpoints.ServiceProvider.GetService<TimeProvider>(),
            endpoints.ServiceProvider.GetRequiredService<ILogger<EngineServer>>());
        endpoints.ServiceProvider.GetService<IHostApplicationLifetime>()?.ApplicationStopping.Register(() =>
            server.Close(DisconnectReason.ServerShuttingDown));
        return Map(endpoints, path, server, serveClient: false);
    }

    static IEndpointConventionBuilder Map(IEndpointRouteBuilder endpoints, string path, EngineServer engine, bool serveClient)
    {
        var prefix = path.TrimEnd('/') + "/";
        endpoints.ServiceProvider.GetService<DirectRoutes>()?.Add(prefix, engine);
        var endpoint = new EngineEndpoint(engine);
        return endpoints.Map(prefix + "{**rest}", async (HttpContext context) =>
        {
            // Routing takes the path without its last slash for the same; the protocol does not, and clients rely on neither.
            if (!context.Request.Path.Value!.StartsWith(prefix, StringComparison.Ordinal))
            {
                context.Response.StatusCode = StatusCodes.Status404NotFound;
                return;
            }
            Origins.AddHeaders(context, engine.Options);   // on the client's files too: pages of another origin import them as modules
            if (serveClient && await ClientFiles.TryServeAsync(context, context.Request.Path.Value[prefix.Length..])) return;
            await endpoint.HandleAsync(context);
        }).WithDisplayName($"Socket.IO {prefix}");
    }
}
