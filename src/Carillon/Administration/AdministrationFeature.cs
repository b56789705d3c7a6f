using Carillon.Access;
using Carillon.Features;

namespace Carillon.Administration;

/// <summary>What operators and back ends administer over HTTP: users, members, tokens, keys, bans, limits and the audit log.</summary>
sealed class AdministrationFeature : IFeature
{
    public void Map(FeatureMap map)
    {
        UsersEndpoints.Map(map.Http);
        MembersEndpoints.Map(map.Http);
        RevokeEndpoint.Map(map.Http);
        TicketsEndpoint.Map(map.Http);
        KeysEndpoints.Map(map.Http);
        AuditEndpoints.Map(map.Http);
        BansEndpoints.Map(map.Http);
        LimitsEndpoints.Map(map.Http);
        map.OnUserDeleted(Membership.DeleteUserAsync);
    }
}
