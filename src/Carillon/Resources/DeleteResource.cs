using Carillon.Api;
using Carillon.Features;
using Carillon.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Carillon.Resources;

/// <summary>
/// Deletes what is stored about a resource: its version. Versions only grow, even for a resource that is created again: the highest
/// version of all deleted resources is stored, and new resources begin above it.
/// </summary>
static class DeleteResource
{
    public static void Map(FeatureMap map) =>
        map.Http.MapDeletion("/resources/{id}", "resource", DeleteAsync).WithSummary("Deletes what is stored about a resource.");

    static async Task<bool> DeleteAsync(DatabaseTransaction tx, string id, CancellationToken ct)
    {
        await tx.ExecuteAsync("""
            UPDATE carillon_resource_floor SET version = max(version, coalesce((SELECT version FROM carillon_resources WHERE id = @id), 0))
            """, new { id }, ct);
        return await tx.ExecuteAsync("DELETE FROM carillon_resources WHERE id = @id", new { id }, ct) > 0;
    }
}
