using Carillon.Hub;

namespace Carillon.Votes;

/// <summary>Access to suggestions and votes. The area <c>suggestions:votes</c> says who may follow the tallies.</summary>
public sealed class VoteOptions
{
    /// <summary>Who may make a suggestion: every known user.</summary>
    public Grant MaySuggest { get; set; } = Grant.Users;

    /// <summary>Who may vote: every known user.</summary>
    public Grant MayVote { get; set; } = Grant.Users;

    /// <summary>How many suggestions one user may make in a day: 100, far more than anybody needs. Zero is no limit.</summary>
    public int SuggestionsPerDay { get; set; } = 100;

    /// <summary>
    /// How many votes one user may cast or change in a day: 5,000, more than anybody reads suggestions. Zero is no limit.
    /// </summary>
    public int VotesPerDay { get; set; } = 5000;

    internal string? Problem() => SuggestionsPerDay < 0 ? "SuggestionsPerDay must not be negative; zero is no limit." : null;
}
