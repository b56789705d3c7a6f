using Carillon.Access;
using Carillon.Audit;
using Carillon.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Api;

/// <summary>Routes by which administrators delete a thing for good, in one transaction with its entry in the audit log.</summary>
static class Deletion
{
    /// <summary>Maps <c>DELETE</c> on a route with the parameter <c>id</c>.</summary>
    /// <param name="api">The routes.</param>
    /// <param name="route">The route.</param>
    /// <param name="thing">What it is called, in the audit log and in the answer where there is none.</param>
    /// <param name="delete">Deletes it; false where it does not exist.</param>
    public static RouteHandlerBuilder MapDeletion(
        this RouteGroupBuilder api, string route, string thing, Func<DatabaseTransaction, string, CancellationToken, Task<bool>> delete)
    {
        return api.MapDelete(route, HandleAsync).RequirePolicy(EndpointPolicy.Manage).Produces(StatusCodes.Status204NoContent);

        async Task<IResult> HandleAsync(
            string id, Caller caller, Database db, AuditLog audit, TimeProvider clock, HttpContext http, CancellationToken ct)
        {
            await using var tx = await db.BeginAsync(caller.Actor, WriterLane.Administrative, ct);
            if (!await delete(tx, id, ct)) return Problem.Of(http, ErrorCode.NotFound, $"There is no such {thing}.");
            var entry = new AuditEntry(clock.GetUtcNow(), caller.Actor, thing + ":deleted", id, caller.Address, AuditEntry.Allowed);
            await audit.WriteAsync(tx, entry, ct);
            await tx.CommitAsync(ct);
            return TypedResults.NoContent();
        }
    }
}
