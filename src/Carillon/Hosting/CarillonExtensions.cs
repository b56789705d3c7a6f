using Carillon;
using Carillon.Access;
using Carillon.Access.Tokens;
using Carillon.Api;
using Carillon.Audit;
using Carillon.Changes;
using Carillon.Channels;
using Carillon.Channels.InProcess;
using Carillon.ClientEvents;
using Carillon.Features;
using Carillon.Hosting;
using Carillon.Hub;
using Carillon.SocketIO.Sockets;
using Carillon.Storage;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Microsoft.AspNetCore.Builder;

/// <summary>Adds Carillon to an ASP.NET Core application: <c>AddCarillon</c> for the services, <c>MapCarillon</c> for the paths.</summary>
public static class CarillonExtensions
{
    /// <summary>Adds Carillon: the Socket.IO server, channels, and the changes of the live tables.</summary>
    /// <param name="services">The application's services.</param>
    /// <param name="configure">Changes the settings.</param>
    public static IServiceCollection AddCarillon(this IServiceCollection services, Action<CarillonOptions>? configure = null)
    {
        var options = services.AddOptions<CarillonOptions>().ValidateOnStart();
        if (configure is not null) options.Configure(configure);
        services.AddSingleton<IValidateOptions<CarillonOptions>, OptionsCheck>();
        services.AddSocketIO();
        services.AddSingleton<IPostConfigureOptions<SocketIOOptions>, SocketIODefaults>();
        services.TryAddSingleton<IChannelLayer, InProcessChannelLayer>();
        services.TryAddSingleton(provider => new Database(Options(provider).DatabasePath));
        services.TryAddSingleton<StorageGate>();
        services.TryAddSingleton(provider => new FreeSpace(
            provider.GetRequiredService<Database>(), Options(provider).MinFreeSpace, provider.GetRequiredService<TimeProvider>(),
                provider.GetRequiredService<ILogger<FreeSpace>>()));
        services.AddHostedService(provider => provider.GetRequiredService<FreeSpace>());
        services.TryAddSingleton(provider => Options(provider).Changes);
        services.TryAddSingleton(provider => new LiveTables(
            provider.GetRequiredService<Database>(), provider.GetRequiredService<ChangesOptions>(),
                provider.GetRequiredService<ILogger<LiveTables>>()));
        services.TryAddSingleton<ChangeLog>();
        services.TryAddSingleton<ChangePump>();
        services.AddHostedService(provider => provider.GetRequiredService<ChangePump>());
        services.TryAddSingleton<ChangesHealth>();
        services.AddOptions<HealthCheckServiceOptions>().Configure<IOptions<CarillonOptions>>(static (health, carillon) =>
        {
            if (carillon.Value.Changes.Tables.Count > 0) health.Registrations.Add(new("changes", static provider =>
                provider.GetRequiredService<ChangesHealth>(), null, null));
        });
        services.TryAddSingleton(CreateChannels);
        AddAccess(services);
        AddLive(services);
        services.AddLifecycle();
        return services;
    }

    static void AddAccess(IServiceCollection services)
    {
        services.TryAddSingleton(provider => Options(provider).Access);
        services.TryAddSingleton(provider => new TokenValidator(
            provider.GetRequiredService<AccessOptions>(), provider.GetRequiredService<TimeProvider>(),
                provider.GetRequiredService<ILogger<TokenValidator>>()));
        services.TryAddSingleton<AccessChanges>();
        services.TryAddSingleton<DailyQuotas>();
        services.TryAddSingleton<UserDeletion>();
        services.TryAddSingleton<PendingDecisions>();
        services.AddHostedService(provider => provider.GetRequiredService<PendingDecisions>());
        services.TryAddSingleton<UserDirectory>();
        services.TryAddSingleton<Membership>();
        services.TryAddSingleton<Tickets>();
        services.TryAddSingleton<ApiKeys>();
        services.TryAddSingleton<Authenticator>();
        services.TryAddSingleton<Idempotency>();
        services.TryAddSingleton<ApiRateLimiter>();
        services.TryAddSingleton<Guard>();
        services.TryAddSingleton(provider =>
            new AuditRetention(Options(provider).Access.AuditRetention, Options(provider).Access.AuditMaxEntries));
        services.TryAddSingleton<AuditLog>();
        services.AddHostedService(provider => provider.GetRequiredService<AuditLog>());
    }

    static void AddLive(IServiceCollection services)
    {
        services.TryAddSingleton(provider => Options(provider).Areas);
        services.TryAddSingleton(provider => new SubscriptionLimits(Options(provider).MaxSubscriptions, Options(provider).MaxRecovered));
        services.TryAddSingleton(provider => Options(provider).Votes);
        services.TryAddSingleton(provider => Options(provider).Presence);
        services.TryAddSingleton<PermissionRefresher>();
        services.AddHostedService(provider => provider.GetRequiredService<PermissionRefresher>());
        services.TryAddSingleton<SessionFields>();
        services.TryAddSingleton<ConnectionHandler>();
        services.TryAddSingleton<EventMap>();
        services.TryAddSingleton<SubscribeEvents>();
        services.TryAddSingleton<TokenRefresh>();
        services.TryAddSingleton<AfterCommitPublisher>();
        services.AddHostedService(provider => provider.GetRequiredService<AfterCommitPublisher>());
        foreach (var feature in FeatureList.All) feature.AddServices(services);
    }

    /// <summary>Maps the path of the Socket.IO server, and the HTTP API under <c>/api</c>.</summary>
    /// <param name="endpoints">The application.</param>
    /// <param name="path">The path; stock clients expect <c>/socket.io</c>.</param>
    public static IEndpointConventionBuilder MapCarillon(this IEndpointRouteBuilder endpoints, string path = "/socket.io")
    {
        var services = endpoints.ServiceProvider;
        var server = services.GetRequiredService<SocketServer>();
        services.GetRequiredService<ConnectionHandler>().On(server.Root);
        ConnectionQuality.On(server.Root, services.GetRequiredService<ChannelHub>());
        server.Root.OnUnknown(e => Answer.Refuse(e, ErrorCode.UnknownEvent, channel: null));

        var map = new FeatureMap(Guard.Map(endpoints), services);
        map.Get<SubscribeEvents>().Map(map.Events);
        map.Get<TokenRefresh>().Map(map.Events);
        PingEvent.Map(map.Events, map.Get<TimeProvider>());
        PublishEndpoint.Map(map.Http);
        HistoryEndpoint.Map(map.Http);
        foreach (var feature in FeatureList.All) feature.Map(map);
        AddShutdownTasks(map);
        return endpoints.MapSocketIO(path);
    }

    // What is published and written before the clients are disconnected.
    static void AddShutdownTasks(FeatureMap map)
    {
        var audit = map.Get<AuditLog>();
        map.OnShutdown(map.Get<AfterCommitPublisher>().FlushAsync);
        map.OnShutdown(ct =>
        {
            audit.Note(null, "server:closing", null, null, AuditEntry.Allowed);
            return audit.FlushAsync(ct);
        });
    }

    static ChannelHub CreateChannels(IServiceProvider provider)
    {
        var areas = provider.GetRequiredService<AreaList>();
        var log = provider.GetRequiredService<ChangeLog>();
        areas.Changes.Exists = channel => log.Knows(TableOf(channel));
        areas.Changes.ReadHistory = (channel, since, limit, ct) => log.HistoryAsync(TableOf(channel), since, limit, ct);
        var hub = new ChannelHub(provider.GetRequiredService<SocketServer>(), provider.GetRequiredService<IChannelLayer>(), areas,
            provider.GetRequiredService<SubscriptionLimits>(), provider.GetRequiredService<AccessChanges>(),
            provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<ChannelHub>>());
        provider.GetRequiredService<AuditLog>().Written = async (item, ct) => await hub.PublishAsync(areas.Audit.Pattern, item, ct);
        provider.GetRequiredService<ChangePump>().EpochChanged += (table, position) =>
            hub.BeginEpoch(ChangeEncoder.ChannelOf(table), position);
        return hub;
    }

    static string TableOf(ChannelName channel) => channel.Value["changes:".Length..];

    static CarillonOptions Options(IServiceProvider provider) => provider.GetRequiredService<IOptions<CarillonOptions>>().Value;

    sealed class OptionsCheck : IValidateOptions<CarillonOptions>
    {
        public ValidateOptionsResult Validate(string? name, CarillonOptions options)
        {
            try
            {
                options.Validate();
                return ValidateOptionsResult.Success;
            }
            catch (InvalidOperationException ex)
            {
                return ValidateOptionsResult.Fail(ex.Message);
            }
        }
    }

    // What access control needs of the Socket.IO server.
    sealed class SocketIODefaults(IOptions<CarillonOptions> carillon) : IPostConfigureOptions<SocketIOOptions>
    {
        public void PostConfigure(string? name, SocketIOOptions options)
        {
            // Channels recover by position, and a client that returns is authenticated again; rooms restored without that would be rights
            // restored without that.
            if (options.RecoveryWindow is not null) throw new InvalidOperationException(
                "SocketIOOptions.RecoveryWindow cannot be used with Carillon: its channels recover by position.");
            // The application's authentication sees only handshakes that pass through HTTP.
            if (carillon.Value.Access.UseHostAuthentication) options.Engine.OnHandshakeResponse ??= static _ => { };
        }
    }
}
