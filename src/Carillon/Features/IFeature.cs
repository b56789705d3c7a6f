using Carillon.Hub;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.Features;

/// <summary>A feature: a folder of its own, and one line in the list of features in <c>Hosting</c>.</summary>
interface IFeature
{
    /// <summary>The areas of its channels. Each call returns new ones: every server configures its own.</summary>
    IEnumerable<Area> Areas => [];

    /// <summary>Registers what its handlers need.</summary>
    void AddServices(IServiceCollection services)
    {
    }

    /// <summary>
    /// Maps its routes and events, and adds what it contributes to sessions, to the shutdown and to the deletion of users.
    /// </summary>
    void Map(FeatureMap map);
}
