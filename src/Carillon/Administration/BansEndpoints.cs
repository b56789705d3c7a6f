using Carillon.Access;
using Carillon.Api;
using Carillon.Audit;
using Carillon.SocketIO.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Administration;

/// <summary>Bans, to be seen and lifted.</summary>
static class BansEndpoints
{
    public sealed record Item(string Address, DateTime Until, int Strikes, string Reason);

    public static void Map(RouteGroupBuilder api)
    {
        api.MapGet("/bans", List).RequirePolicy(EndpointPolicy.Manage).WithSummary("Lists the addresses that are banned.")
            .Produces<Page<Item>>();
        // A network is written with a slash, which clients may or may not escape.
        api.MapDelete("/bans/{**address}", Lift).RequirePolicy(EndpointPolicy.Manage).WithSummary("Lifts a ban.")
            .Produces(StatusCodes.Status204NoContent);
    }

    static IResult List(string? limit, string? cursor, SocketServer server, HttpContext http) =>
        PageRequest.TryRead(limit, cursor, out var page)
            ? TypedResults.Ok(page.Of(server.Engine.Addresses.Bans().Select(ban =>
                new Item(ban.Address, ban.Until.UtcDateTime, ban.Strikes, ban.Reason)), ban => ban.Address))
            : PageRequest.Refuse(http);

    static IResult Lift(string address, Caller caller, SocketServer server, AuditLog audit, HttpContext http)
    {
        if (!server.Engine.Addresses.Unban(address)) return Problem.Of(http, ErrorCode.NotFound, "This address is not banned.");
        audit.Note(caller.Actor, "ban:lifted", address, caller.Address, AuditEntry.Allowed);
        return TypedResults.NoContent();
    }
}
