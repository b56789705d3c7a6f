using System.Text.Json;
using Carillon.Features;
using Carillon.Hub;
using Carillon.SocketIO.Packets;

namespace Carillon.Resources;

/// <summary>Updates of resources, published by back ends to the users who follow a resource.</summary>
sealed class ResourcesFeature : IFeature
{
    const string Prefix = "resource:updates:";

    public IEnumerable<Area> Areas =>
    [
        new(Prefix + "{resourceId}", "resource:update") { Subscribe = Grant.Users, HistorySize = 1000,
        HistoryTtl = TimeSpan.FromMinutes(10) },
    ];

    public void Map(FeatureMap map)
    {
        map.Subscription("resource", ChannelIn);
        PostUpdate.Map(map);
        DeleteResource.Map(map);
    }

    /// <summary>The channel of a resource; false where the id cannot be the last part of a name.</summary>
    public static bool TryChannelOf(string id, out ChannelName channel)
    {
        channel = default;
        return !id.Contains(':') && ChannelName.TryParse(Prefix + id, out channel);
    }

    // subscribe:resource takes "7" or { resourceId: "7", since? }.
    static string? ChannelIn(SocketValue argument)
    {
        var id = argument.Json.ValueKind == JsonValueKind.Object ? argument["resourceId"].AsString() : argument.AsString();
        return id is not null && TryChannelOf(id, out var channel) ? channel.Value : null;
    }
}
