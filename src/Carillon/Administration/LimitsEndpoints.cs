using System.Text.Json.Serialization;
using Carillon.Access;
using Carillon.Api;
using Carillon.Hub;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Administration;

/// <summary>The limits in force, and the addresses that take most.</summary>
static class LimitsEndpoints
{
    public sealed record Item(
        string Address, int Open, int HalfOpen, int Strikes,
            [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] DateTime? BannedUntil);

    public static void Map(RouteGroupBuilder api) => api.MapGet("/limits", Show).RequirePolicy(EndpointPolicy.Manage).WithSummary(
        "Shows the limits in force and the addresses that take most.");

    static IResult Show(string? limit, SocketServer server, SubscriptionLimits limits, AccessOptions access, HttpContext http)
    {
        if (!PageRequest.TryRead(limit, cursor: null, out var page)) return Problem.Of(
            http, ErrorCode.InvalidPayload, "limit is a number from 1 to 500.");
        var engine = server.Engine;
        return TypedResults.Ok(new
        {
            limits = InForce(engine, limits, access),
            connections = engine.ConnectionCount,
            addresses = engine.Addresses.Count,
            shortOfMemory = engine.IsShortOfMemory,
            items = engine.Addresses.Busiest(page.Limit).Select(a =>
                new Item(a.Address, a.Open, a.HalfOpen, a.Strikes, a.BannedUntil?.UtcDateTime)),
        });
    }

    static object InForce(EngineServer engine, SubscriptionLimits limits, AccessOptions access)
    {
        var fair = engine.Options.Limits;
        return new
        {
            addressesAreLimited = fair.LimitAddresses,
            connections = engine.Options.MaxConnections,
            fair.ConnectionsPerAddress,
            fair.ConnectionsPerAccount,
            fair.HalfOpenPerAddress,
            fair.HandshakesPerSecond,
            fair.HandshakeBurst,
            handshakeWithinSeconds = fair.HandshakeTimeout.TotalSeconds,
            fair.RefusedHandshakesPerMinute,
            fair.UnheededHandshakesPerMinute,
            fair.FloodingConnectionsPerMinute,
            fair.MalformedPerMinute,
            fair.FailedCredentialsPerMinute,
            subscriptionsPerConnection = limits.MaxSubscriptions,
            requestsPerSecondPerKey = access.RequestsPerSecondPerKey,
            fair.PerConnection,
            fair.PerAccount,
            firstBanSeconds = fair.FirstBan.TotalSeconds,
            longestBanSeconds = fair.LongestBan.TotalSeconds,
            memoryThreshold = engine.MemoryThreshold,
        };
    }
}
