namespace Carillon.Access;

/// <summary>How many rows of each kind a person may create in a day.</summary>
sealed class DailyQuotas(AccessOptions options, TimeProvider clock)
{
    public DailyQuota Memberships { get; } = new(options.MembershipsPerDay, clock);

    public DailyQuota Tickets { get; } = new(options.TicketsPerDay, clock);

    public DailyQuota Keys { get; } = new(options.KeysPerDay, clock);

    public DailyQuota IdempotencyKeys { get; } = new(options.IdempotencyKeysPerDay, clock);
}
