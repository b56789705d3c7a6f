using Carillon.Access;
using Carillon.Access.Tokens;
using Carillon.Api;
using Carillon.Hub;
using Carillon.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Administration;

/// <summary>
/// The members of a channel, for areas that are open to their members. Back ends and users who may manage the channel change them. A
/// removed member loses the subscription at once.
/// </summary>
static class MembersEndpoints
{
    const string NotAName = "The channel is a name of parts joined by colons, the user an id without colons.";

    public static void Map(RouteGroupBuilder api)
    {
        api.MapGet("/channels/{channel}/members", ListAsync).RequirePolicy(EndpointPolicy.Members)
            .WithSummary("Lists the members of a channel.").Produces<Page<string>>();
        api.MapPut("/channels/{channel}/members/{userId}", AddAsync).RequirePolicy(EndpointPolicy.Members)
            .WithSummary("Makes a user a member of a channel.").Produces(StatusCodes.Status204NoContent);
        api.MapDelete("/channels/{channel}/members/{userId}", RemoveAsync).RequirePolicy(EndpointPolicy.Members)
            .WithSummary("Removes a user from a channel.").Produces(StatusCodes.Status204NoContent);
    }

    static async Task<IResult> ListAsync(
        string channel, string? limit, string? cursor, Caller caller, ChannelHub hub, Database db, HttpContext http, CancellationToken ct)
    {
        if (!PageRequest.TryRead(limit, cursor, out var page)) return PageRequest.Refuse(http);
        if (!ChannelName.TryParse(channel, out var name)) return Problem.Of(http, ErrorCode.InvalidPayload, NotAName);
        if (!await hub.AdmitsAsync(caller, name, ChannelPermission.Manage)) return Problem.Of(
            http, ErrorCode.Forbidden, ErrorCode.Forbidden.Message);
        var ids = await db.QueryAsync<string>(
            "SELECT user_id FROM carillon_members WHERE channel = @channel AND (@After IS NULL OR user_id > @After) ORDER BY user_id LIMIT "
            + "@most",
            new { channel, page.After, most = page.Limit + 1 }, ct);
        return TypedResults.Ok(page.Cut(ids, id => id));
    }

    static Task<IResult> AddAsync(
        string channel, string userId, Caller caller, ChannelHub hub, Membership membership, HttpContext http, CancellationToken ct) =>
        ChangeAsync(channel, userId, caller, hub, membership, isMember: true, http, ct);

    static Task<IResult> RemoveAsync(
        string channel, string userId, Caller caller, ChannelHub hub, Membership membership, HttpContext http, CancellationToken ct) =>
        ChangeAsync(channel, userId, caller, hub, membership, isMember: false, http, ct);

    static async Task<IResult> ChangeAsync(
        string channel, string userId, Caller caller, ChannelHub hub, Membership membership, bool isMember, HttpContext http,
            CancellationToken ct)
    {
        if (!ChannelName.TryParse(channel, out var name)
            || !Claims.IsSubject(userId)) return Problem.Of(http, ErrorCode.InvalidPayload, NotAName);
        if (!await hub.AdmitsAsync(caller, name, ChannelPermission.Manage)) return Problem.Of(
            http, ErrorCode.Forbidden, ErrorCode.Forbidden.Message);
        if (!membership.Quota.TryTake(caller, out var wait)) return Problem.Of(
            http, ErrorCode.RateLimited, "You have changed all the memberships of a day.", wait);
        await membership.SetAsync(channel, userId, isMember, caller, ct);
        return TypedResults.NoContent();
    }
}
