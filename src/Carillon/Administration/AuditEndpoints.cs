using Carillon.Api;
using Carillon.Audit;
using Carillon.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Administration;

/// <summary>The audit log over HTTP, the latest first, with filters.</summary>
static class AuditEndpoints
{
    public static void Map(RouteGroupBuilder api) =>
        api.MapGet("/audit", ReadAsync).RequirePolicy(EndpointPolicy.Manage)
            .WithSummary("Reads the audit log, the latest entry first. Filters: actor, action, subject, outcome, since and until (ISO "
                + "8601).").Produces<Page<AuditItem>>();

    static async Task<IResult> ReadAsync(
        string? actor, string? action, string? subject, string? outcome, string? since, string? until, string? limit, string? cursor,
        Database db, HttpContext http, CancellationToken ct)
    {
        if (!PageRequest.TryRead(limit, cursor, out var page) || !TryReadTime(since, out var from) || !TryReadTime(until, out var to)
            || (page.After is { } after && !long.TryParse(after, out _)))
            return Problem.Of(http, ErrorCode.InvalidPayload,
                "since and until are times such as 2026-01-31T08:00:00Z, limit is a number from 1 to 500, cursor what an earlier answer "
                + "gave as next.");
        var items = await db.QueryAsync<AuditItem>(AuditItem.Select + """
             WHERE id < @before AND (@actor IS NULL OR actor = @actor) AND (@action IS NULL OR action = @action) AND (@subject IS NULL OR subject = @subject)
               AND (@outcome IS NULL OR outcome = @outcome) AND (@from IS NULL OR at >= @from) AND (@to IS NULL OR at < @to)
             ORDER BY id DESC LIMIT @most
            """, new { before = page.After is { } id ? long.Parse(id) : long.MaxValue, actor, action, subject, outcome, from, to, most = page.Limit + 1 }, ct);
        return TypedResults.Ok(page.Cut(items, item => item.Id.ToString()));
    }

    static bool TryReadTime(string? text, out string? time)
    {
        time = null;
        if (text is null) return true;
        if (!DateTimeOffset.TryParse(text, System.Globalization.CultureInfo.InvariantCulture,
            System.Globalization.DateTimeStyles.AssumeUniversal, out var at)) return false;
        time = Iso.Of(at);
        return true;
    }
}
