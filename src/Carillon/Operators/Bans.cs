using Carillon.Live;
using Carillon.SocketIO;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Operators;

/// <summary>Bans, to be seen and lifted.</summary>
static class Bans
{
    public sealed record Item(string Address, DateTime Until, int Strikes, string Reason);

    public static void Map(RouteGroupBuilder api)
    {
        api.MapGet("/bans", List);
        // A network is written with a slash, which clients may or may not escape.
        api.MapDelete("/bans/{**address}", Lift);
    }

    static IResult List(string? limit, string? cursor, SocketServer server, HttpContext http) =>
        PageRequest.TryRead(limit, cursor, out var page)
            ? TypedResults.Ok(page.Of(server.Engine.Addresses.Bans().Select(ban => new Item(ban.Address, ban.Until.UtcDateTime, ban.Strikes, ban.Reason)), ban => ban.Address))
            : Problem.Of(http, ErrorCode.InvalidPayload, "limit is a number from 1 to 500, cursor what an earlier answer gave as next.");

    static IResult Lift(string address, SocketServer server, HttpContext http) =>
        server.Engine.Addresses.Lift(Uri.UnescapeDataString(address))
            ? TypedResults.NoContent()
            : Problem.Of(http, ErrorCode.NotFound, "This address is not banned.");
}
