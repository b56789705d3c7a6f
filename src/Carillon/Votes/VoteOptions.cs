using Carillon.Hub;

namespace Carillon.Votes;

/// <summary>Who may suggest and vote. Who may watch says the area <c>suggestions:votes</c>.</summary>
public sealed class VoteOptions
{
    /// <summary>Who may make a suggestion: every known user.</summary>
    public Grant MaySuggest { get; set; } = Grant.Users;

    /// <summary>Who may vote: every known user.</summary>
    public Grant MayVote { get; set; } = Grant.Users;

    /// <summary>How many suggestions one user may make in a day: 100, far more than anybody has ideas. Zero is no limit.</summary>
    public int SuggestionsPerDay { get; set; } = 100;

    /// <summary>How many votes one user may cast or change in a day: 5,000, more than anybody reads suggestions. Zero is no limit.</summary>
    public int VotesPerDay { get; set; } = 5000;
}
