using Carillon.Access;

namespace Carillon.Votes;

/// <summary>How many suggestions and votes a person may write in a day.</summary>
sealed class VoteQuotas(VoteOptions options, TimeProvider clock)
{
    public DailyQuota Suggestions { get; } = new(options.SuggestionsPerDay, clock);

    public DailyQuota Votes { get; } = new(options.VotesPerDay, clock);
}
