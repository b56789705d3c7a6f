using Carillon.Features;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Sockets;
using Carillon.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Carillon.Hosting;

/// <summary>What the life of connections needs, from their first ping to the stop of the server.</summary>
internal static class LifecycleServices
{
    // Soon enough for the first screen, late enough for it to have loaded.
    static readonly TimeSpan FirstPingAfter = TimeSpan.FromSeconds(1);

    // Half of what silent clients are given: a phone that changes its network needs some seconds.
    static readonly TimeSpan MinPingTimeout = TimeSpan.FromSeconds(10);

    /// <summary>Adds it, after the Socket.IO server: who is registered later stops earlier.</summary>
    public static void AddLifecycle(this IServiceCollection services)
    {
        services.AddOptions<SocketIOOptions>().PostConfigure<IOptions<CarillonOptions>>((io, carillon) => Adapt(io.Engine, carillon.Value));
        services.TryAddSingleton<WriteProbe>();
        services.TryAddSingleton<Readiness>();
        services.TryAddSingleton<ShutdownTasks>();
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IHostedService, HistoryHandover>());
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IHostedService, Shutdown>());
        services.AddHealthChecks().AddCheck<Readiness>("carillon");
    }

    // What the host has set itself stays.
    static void Adapt(EngineOptions engine, CarillonOptions options)
    {
        engine.FirstPingAfter ??= Shorter(FirstPingAfter, engine.PingInterval);
        engine.MinPingTimeout ??= Shorter(MinPingTimeout, engine.PingTimeout);
        engine.CloseTimeout = Shorter(engine.CloseTimeout, ShutdownPhases.Of(options.Shutdown).Answers);
    }

    static TimeSpan Shorter(TimeSpan one, TimeSpan other) => one < other ? one : other;
}
