using Carillon.Access;
using Carillon.Api;
using Carillon.Audit;
using Carillon.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Resources;

/// <summary>
/// Deletes what is kept of a resource: its version. Versions only grow, also for a resource that comes again: the highest version of all that were deleted is remembered, and new
/// resources begin above it.
/// </summary>
static class DeleteResource
{
    public static void Map(RouteGroupBuilder api) =>
        api.MapDelete("/resources/{id}", HandleAsync).RequirePolicy(EndpointPolicy.Manage).WithSummary("Deletes what is kept of a resource.").Produces(StatusCodes.Status204NoContent);

    static async Task<IResult> HandleAsync(string id, Caller caller, Database db, AuditLog audit, TimeProvider clock, HttpContext http, CancellationToken ct)
    {
        await using var tx = await db.BeginAsync(caller.Actor, WriterLane.Administrative, ct);
        await tx.ExecuteAsync("UPDATE carillon_resource_floor SET version = max(version, coalesce((SELECT version FROM carillon_resources WHERE id = @id), 0))", new { id }, ct);
        if (await tx.ExecuteAsync("DELETE FROM carillon_resources WHERE id = @id", new { id }, ct) == 0) return Problem.Of(http, ErrorCode.NotFound, "There is no such resource.");
        await audit.WriteAsync(tx, new AuditEntry(clock.GetUtcNow(), caller.Actor, "resource:deleted", id, caller.Address, AuditEntry.Allowed), ct);
        await tx.CommitAsync(ct);
        return TypedResults.NoContent();
    }
}
