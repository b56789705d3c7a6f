using Carillon.Access;
using Carillon.Api;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Administration;

/// <summary><c>POST /api/tickets</c>.</summary>
static class TicketsEndpoint
{
    public static void Map(RouteGroupBuilder api) =>
        api.MapPost("/tickets", HandleAsync).RequirePolicy(EndpointPolicy.Person).WithMetadata(AnswersSecret.Yes)
            .WithSummary("Returns a ticket that opens one connection, within seconds, as the user who asks.").Produces<Tickets.Given>();

    static async Task<IResult> HandleAsync(
        Caller caller, Tickets tickets, DailyQuotas quotas, AccessOptions options, HttpContext http, CancellationToken ct)
    {
        if (!quotas.Tickets.TryTake(caller, out var wait)) return Problem.Of(
            http, ErrorCode.RateLimited, "You have asked for all the tickets of a day.", wait);
        Tickets.Given? given = null;
        return await quotas.Tickets.SpendAsync(caller, async () => (given = await tickets.GiveAsync(caller, ct)) is not null)
            ? TypedResults.Ok(given)
            : Problem.Of(http, ErrorCode.RateLimited, $"At most {Tickets.MostAtOnce} tickets of one user are valid at once.",
                options.TicketLifetime);
    }
}
