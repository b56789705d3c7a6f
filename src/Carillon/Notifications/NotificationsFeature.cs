using Carillon.Features;
using Carillon.Hub;

namespace Carillon.Notifications;

/// <summary>
/// The channel of each user, joined on all devices without a request, and the counters of unread messages in <c>session</c>. No inbox is
/// stored yet: both counters are zero.
/// </summary>
sealed class NotificationsFeature : IFeature
{
    sealed record Unread(int Notifications, int Messages);

    public IEnumerable<Area> Areas =>
    [
        new("notifications:{user}", "notification")
        {
            Subscribe = Grant.Owner, AutoSubscribe = true, EmitsPresence = false, HistorySize = 1000, HistoryTtl = TimeSpan.FromMinutes(10),
        },
    ];

    public void Map(FeatureMap map) => map.Session.Add("unread", static (_, _) => new(new Unread(0, 0)));
}
