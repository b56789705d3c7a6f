using System.Text.Json;
using Carillon.Features;
using Carillon.Hub;
using Carillon.SocketIO.Packets;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.Votes;

/// <summary>Suggestions of users, their votes, and the tallies that everybody sees change.</summary>
sealed class VotesFeature : IFeature
{
    public static readonly ChannelName Channel = ChannelName.Parse("suggestions:votes");

    public IEnumerable<Area> Areas =>
        [new(Channel.Value, "suggestion:vote") { Subscribe = Grant.Users, HistorySize = 1000, HistoryTtl = TimeSpan.FromMinutes(10) }];

    public void AddServices(IServiceCollection services) => services.AddSingleton<VoteQuotas>().AddSingleton<CastVote>();

    public void Map(FeatureMap map)
    {
        map.Subscription("suggestions", ChannelIn);
        SuggestionsEndpoints.Map(map);
        map.Get<CastVote>().Map(map);
    }

    // subscribe:suggestions takes nothing, or { since }.
    static string? ChannelIn(SocketValue argument) =>
        argument.Json.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null or JsonValueKind.Object ? Channel.Value : null;
}
