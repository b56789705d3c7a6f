using Carillon.Administration;
using Carillon.Features;
using Carillon.Hub;
using Carillon.Notifications;
using Carillon.Presence;
using Carillon.Resources;
using Carillon.Votes;

namespace Carillon.Hosting;

/// <summary>
/// The features of a server. A new one is a folder and a line here; where it has settings, they become a property of <see
/// cref="CarillonOptions"/>.
/// </summary>
static class FeatureList
{
    public static readonly IReadOnlyList<IFeature> All =
    [
        new NotificationsFeature(),
        new VotesFeature(),
        new ResourcesFeature(),
        new PresenceFeature(),
        new AdministrationFeature(),
    ];

    public static AreaList CreateAreas() => new(All.SelectMany(feature => feature.Areas));
}
