namespace Carillon.Access;

/// <summary>How many rows of each kind a person may create in a day.</summary>
sealed class DailyQuotas(CarillonOptions options, TimeProvider clock)
{
    public DailyQuota Suggestions { get; } = new(options.Votes.SuggestionsPerDay, clock);

    public DailyQuota Votes { get; } = new(options.Votes.VotesPerDay, clock);

    public DailyQuota Memberships { get; } = new(options.Access.MembershipsPerDay, clock);

    public DailyQuota Tickets { get; } = new(options.Access.TicketsPerDay, clock);

    public DailyQuota Keys { get; } = new(options.Access.KeysPerDay, clock);

    public DailyQuota IdempotencyKeys { get; } = new(options.Access.IdempotencyKeysPerDay, clock);
}
