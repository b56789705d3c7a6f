using Carillon.Audit;
using Carillon.Storage;

namespace Carillon.Access;

/// <summary>Adds users to the members of channels, and removes them.</summary>
sealed class Membership(Database db, DailyQuotas quotas, AccessChanges accessChanges, AuditLog audit, TimeProvider clock)
{
    /// <summary>How many memberships one person may change in a day.</summary>
    public DailyQuota Quota => quotas.Memberships;

    /// <summary>Changes a membership that was counted by the quota; what changes nothing is given back to it.</summary>
    public Task SetAsync(string channel, string userId, bool isMember, Caller by, CancellationToken ct) =>
        Quota.SpendAsync(by, () => ChangeAsync(channel, userId, isMember, by, ct));

    /// <summary>Deletes the memberships of a user who is deleted.</summary>
    public static Task DeleteUserAsync(DatabaseTransaction tx, string userId, CancellationToken ct) =>
        tx.ExecuteAsync("DELETE FROM carillon_members WHERE user_id = @userId", new { userId }, ct);

    async Task<bool> ChangeAsync(string channel, string userId, bool isMember, Caller by, CancellationToken ct)
    {
        await using var tx = await db.BeginAsync(by.Actor, LaneOf(by), ct);
        var changed = await tx.ExecuteAsync(
            isMember
                ? "INSERT INTO carillon_members (channel, user_id) VALUES (@channel, @userId) ON CONFLICT (channel, user_id) DO NOTHING"
                : "DELETE FROM carillon_members WHERE channel = @channel AND user_id = @userId",
            new { channel, userId }, ct);
        if (changed == 0) return false;
        await audit.WriteAsync(tx, new AuditEntry(clock.GetUtcNow(), by.Actor, isMember ? "member:added"
            : "member:removed", $"{channel} {userId}", by.Address, AuditEntry.Allowed), ct);
        await tx.CommitAsync(ct);
        accessChanges.Raise(new AccessChange(userId, null));
        return true;
    }

    // Users who manage a channel wait in the ordinary lane: a revocation must not wait behind a thousand of their changes.
    internal static WriterLane LaneOf(Caller by) => by.KeyId is not null || by.IsAdmin ? WriterLane.Administrative : WriterLane.Ordinary;
}
