using Carillon.Api;
using Carillon.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Access;

/// <summary>Who belongs to a channel, for areas that are open to their members. Who is taken out hears nothing more at once.</summary>
static class Members
{
    public static void Map(RouteGroupBuilder api)
    {
        api.MapGet("/channels/{channel}/members", ListAsync).Needs(Need.ReadUsers).WithSummary("Lists the members of a channel.").Produces<Page<string>>();
        api.MapPut("/channels/{channel}/members/{userId}", AddAsync).Needs(Need.Users).WithSummary("Makes a user a member of a channel.").Produces(StatusCodes.Status204NoContent);
        api.MapDelete("/channels/{channel}/members/{userId}", RemoveAsync).Needs(Need.Users).WithSummary("Takes a user out of a channel.").Produces(StatusCodes.Status204NoContent);
    }

    static async Task<IResult> ListAsync(string channel, string? limit, string? cursor, Database db, HttpContext http, CancellationToken ct)
    {
        if (!PageRequest.TryRead(limit, cursor, out var page)) return PageRequest.Refuse(http);
        var ids = await db.QueryAsync<string>(
            "SELECT user_id FROM carillon_members WHERE channel = @channel AND (@After IS NULL OR user_id > @After) ORDER BY user_id LIMIT @most",
            new { channel, page.After, most = page.Limit + 1 }, ct);
        return TypedResults.Ok(page.Cut(ids, id => id));
    }

    static Task<IResult> AddAsync(string channel, string userId, Caller caller, Database db, AccessNews news, Audit audit, TimeProvider clock, HttpContext http, CancellationToken ct) =>
        ChangeAsync("INSERT INTO carillon_members (channel, user_id) VALUES (@channel, @userId) ON CONFLICT (channel, user_id) DO NOTHING", "member:added",
            channel, userId, caller, db, news, audit, clock, http, ct);

    static Task<IResult> RemoveAsync(string channel, string userId, Caller caller, Database db, AccessNews news, Audit audit, TimeProvider clock, HttpContext http, CancellationToken ct) =>
        ChangeAsync("DELETE FROM carillon_members WHERE channel = @channel AND user_id = @userId", "member:removed", channel, userId, caller, db, news, audit, clock, http, ct);

    static async Task<IResult> ChangeAsync(
        string sql, string action, string channel, string userId, Caller caller, Database db, AccessNews news, Audit audit, TimeProvider clock, HttpContext http, CancellationToken ct)
    {
        if (channel.Length > 200 || !Claims.IsSubject(userId)) return Problem.Of(http, ErrorCode.InvalidPayload, "The channel and the user are names of at most 200 characters.");
        await using var tx = await db.BeginAsync(caller.Actor, ct);
        if (await tx.ExecuteAsync(sql, new { channel, userId }, ct) > 0)
            await Audit.WriteAsync(tx, new AuditEntry(clock.GetUtcNow(), caller.Actor, action, $"{channel} {userId}", caller.Address, AuditEntry.Allowed), ct);
        await tx.CommitAsync(ct);
        news.Tell(new AccessChange(userId, null));
        audit.Look();
        return TypedResults.NoContent();
    }
}
