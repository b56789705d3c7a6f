using Carillon.Storage;

namespace Carillon.Access;

/// <summary>Makes users members of channels, and takes them out.</summary>
sealed class Membership(Database db, AccessOptions options, AccessNews news, Audit audit, TimeProvider clock)
{
    /// <summary>How many memberships one person may change in a day.</summary>
    public DailyQuota Quota { get; } = new(options.MembershipsPerDay, clock);

    public async Task SetAsync(string channel, string userId, bool isMember, Caller by, CancellationToken ct)
    {
        await using var tx = await db.BeginAsync(by.Actor, WriterLane.Administrative, ct);
        var changed = await tx.ExecuteAsync(
            isMember
                ? "INSERT INTO carillon_members (channel, user_id) VALUES (@channel, @userId) ON CONFLICT (channel, user_id) DO NOTHING"
                : "DELETE FROM carillon_members WHERE channel = @channel AND user_id = @userId",
            new { channel, userId }, ct);
        if (changed == 0) return;
        await audit.WriteAsync(tx, new AuditEntry(clock.GetUtcNow(), by.Actor, isMember ? "member:added" : "member:removed", $"{channel} {userId}", by.Address, AuditEntry.Allowed), ct);
        await tx.CommitAsync(ct);
        news.Tell(new AccessChange(userId, null));
    }
}
