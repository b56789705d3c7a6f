using Carillon.Features;
using Carillon.Hub;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.Presence;

/// <summary>The users in each channel, and the notices of who joined and who left.</summary>
sealed class PresenceFeature : IFeature
{
    const string Pattern = PresenceTracker.Prefix + "{channel}";

    public IEnumerable<Area> Areas => [CreateArea()];

    /// <summary>The area of a server, or one that nobody can subscribe to where the application has removed it.</summary>
    public static Area AreaIn(AreaList areas) => areas.Find(Pattern) ?? CreateArea();

    static Area CreateArea() => new(Pattern, "presence") { TakesRest = true, EmitsPresence = false, IsOfTheServer = true };

    public void AddServices(IServiceCollection services)
    {
        services.AddSingleton<PresenceTracker>().AddSingleton<ReadPresence>();
        services.AddHostedService(provider => provider.GetRequiredService<PresenceTracker>());
    }

    public void Map(FeatureMap map)
    {
        map.Get<ReadPresence>().Map(map);
        map.OnShutdown(map.Get<PresenceTracker>().SendAsync);
    }
}
