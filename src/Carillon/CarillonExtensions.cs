using Carillon;
using Carillon.Access;
using Carillon.Changes;
using Carillon.Channels;
using Carillon.Lifecycle;
using Carillon.Live;
using Carillon.Operators;
using Carillon.SocketIO;
using Carillon.Storage;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Microsoft.AspNetCore.Builder;

/// <summary>Makes an ASP.NET Core application live: <c>AddCarillon</c> for the services, <c>MapCarillon</c> for the path.</summary>
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
        services.TryAddSingleton(provider => new ApiKeys(Options(provider).Access, provider.GetRequiredService<TimeProvider>()));
        services.TryAddSingleton<IChannelLayer, InProcessChannelLayer>();
        services.TryAddSingleton(provider => new Database(Options(provider).DatabasePath));
        services.TryAddSingleton(provider => Options(provider).Changes);
        services.TryAddSingleton(provider => new LiveTables(
            provider.GetRequiredService<Database>(), provider.GetRequiredService<ChangesOptions>(), provider.GetRequiredService<ILogger<LiveTables>>()));
        services.TryAddSingleton<ChangeLog>();
        services.TryAddSingleton<ChangePump>();
        services.AddHostedService(provider => provider.GetRequiredService<ChangePump>());
        services.TryAddSingleton(CreateChannels);
        services.AddLifecycle();
        return services;
    }

    /// <summary>Gives Carillon its path, and operators theirs under <c>/api</c>.</summary>
    /// <param name="endpoints">The application.</param>
    /// <param name="path">The path; stock clients expect <c>/socket.io</c>.</param>
    public static IEndpointConventionBuilder MapCarillon(this IEndpointRouteBuilder endpoints, string path = "/socket.io")
    {
        var services = endpoints.ServiceProvider;
        var live = services.GetRequiredService<LiveChannels>();
        Connection.On(services.GetRequiredService<SocketServer>().Root, live, Options(services), services.GetRequiredService<TimeProvider>());
        Quality.On(services.GetRequiredService<SocketServer>().Root, live);
        OperatorsApi.Map(endpoints);
        return endpoints.MapSocketIO(path);
    }

    static LiveChannels CreateChannels(IServiceProvider provider)
    {
        var options = Options(provider);
        var log = provider.GetRequiredService<ChangeLog>();
        var changes = new Area("changes:{table}", ChangeAnnouncement.Event)
        {
            Audience = options.ChangesAudience,
            Exists = channel => log.Knows(TableOf(channel)),
            ReadHistory = (channel, since, limit, ct) => log.HistoryAsync(TableOf(channel), since, limit, ct),
        };
        var live = new LiveChannels(provider.GetRequiredService<SocketServer>(), provider.GetRequiredService<IChannelLayer>(), options, [changes],
            provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<LiveChannels>>());
        provider.GetRequiredService<ChangePump>().EpochChanged += (table, position) => live.BeginEpoch(ChangeAnnouncement.ChannelOf(table), position);
        return live;
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
}
