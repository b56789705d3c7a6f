using Carillon.Access;

namespace Carillon.Votes;

/// <summary>How many suggestions each person may make in a day.</summary>
sealed class SuggestionQuota(CarillonOptions options, TimeProvider clock) : DailyQuota(options.Votes.SuggestionsPerDay, clock);
