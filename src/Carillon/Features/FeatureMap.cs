using Carillon.Access;
using Carillon.Api;
using Carillon.ClientEvents;
using Carillon.SocketIO.Packets;
using Carillon.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.Features;

/// <summary>Where a feature is connected to the server.</summary>
/// <param name="http">The routes of <c>/api</c>. Each of them passes the guard and must name its <see cref="EndpointPolicy"/>.</param>
/// <param name="services">The services of the application.</param>
sealed class FeatureMap(RouteGroupBuilder http, IServiceProvider services)
{
    /// <inheritdoc cref="FeatureMap(RouteGroupBuilder, IServiceProvider)" path="/param[@name='http']"/>
    public RouteGroupBuilder Http => http;

    /// <summary>The events that clients emit.</summary>
    public EventMap Events { get; } = services.GetRequiredService<EventMap>();

    /// <summary>The members of the event <c>session</c>.</summary>
    public SessionFields Session { get; } = services.GetRequiredService<SessionFields>();

    public T Get<T>() where T : notnull => services.GetRequiredService<T>();

    /// <summary>Maps <c>subscribe:{name}</c> and <c>unsubscribe:{name}</c>, whose argument names a channel of the feature.</summary>
    /// <param name="name">What stands behind the colon.</param>
    /// <param name="channelIn">Returns the channel that an argument names; null where the argument is malformed.</param>
    public void Subscription(string name, Func<SocketValue, string?> channelIn) =>
        services.GetRequiredService<SubscribeEvents>().Map(Events, ":" + name, channelIn);

    /// <summary>Maps an event and a route to one handler.</summary>
    /// <param name="event">The name of the event; its acknowledgement carries the result.</param>
    /// <param name="method">The HTTP method.</param>
    /// <param name="route">The route below <c>/api</c>. Its parameters, its query and its body are the members of the request.</param>
    /// <param name="policy">Who may call it.</param>
    /// <param name="read">Reads the request from the argument of the event; null where it is malformed.</param>
    /// <param name="handle">Does it.</param>
    public RouteHandlerBuilder Both<TRequest, TResult>(
        string @event, string method, string route, EndpointPolicy policy, Func<ClientRequest, TRequest?> read,
        Func<TRequest, Caller, CancellationToken, ValueTask<Outcome<TResult>>> handle) where TRequest : class
    {
        Events.Map(@event, policy, read, handle);
        return http.MapMethods(route, [method], HandleAsync).RequirePolicy(policy).Produces<TResult>();

        async Task<IResult> HandleAsync([AsParameters] TRequest request, Caller caller, HttpContext context, CancellationToken ct)
        {
            var outcome = await handle(request, caller, ct);
            return outcome.Refusal is { } refusal ? Problem.Of(context, refusal) : TypedResults.Ok(outcome.Value);
        }
    }

    /// <summary>Adds a task for when the server stops: see <see cref="ShutdownTasks"/>.</summary>
    public void OnShutdown(Func<CancellationToken, Task> task) => services.GetRequiredService<ShutdownTasks>().Add(task);

    /// <summary>Adds what is deleted with a user, in the same transaction.</summary>
    public void OnUserDeleted(Func<DatabaseTransaction, string, CancellationToken, Task> delete) =>
        services.GetRequiredService<UserDeletion>().Add(delete);
}
