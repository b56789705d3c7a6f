using System.Collections.ObjectModel;

namespace Carillon.Hub;

/// <summary>
/// The areas of a server: those that come with Carillon, to be opened or narrowed, and the application's own. A name belongs to the first area that has it.
/// </summary>
public sealed class AreaList : Collection<Area>
{
    const int Recent = 1000;
    static readonly TimeSpan ForAWhile = TimeSpan.FromMinutes(10);

    internal AreaList()
    {
        Add(Changes = new Area("changes:{table}", "change") { IsOfTheServer = true });
        Add(Notifications = new Area("notifications:{user}", "notification")
        {
            Subscribe = Grant.Owner, AutoSubscribe = true, EmitsPresence = false, HistorySize = Recent, HistoryTtl = ForAWhile,
        });
        Add(Suggestions = new Area("suggestions:votes", "suggestion:vote") { Subscribe = Grant.Users, HistorySize = Recent, HistoryTtl = ForAWhile });
        Add(Resources = new Area("resource:updates:{resourceId}", "resource:update") { Subscribe = Grant.Users, HistorySize = Recent, HistoryTtl = ForAWhile });
        Add(Presence = new Area("presence:{channel}", "presence") { TakesRest = true, EmitsPresence = false, IsOfTheServer = true });
        Add(Audit = new Area("audit", "audit") { Subscribe = Grant.Admins, EmitsPresence = false, IsOfTheServer = true, HistorySize = Recent, HistoryTtl = ForAWhile });
    }

    /// <summary><c>changes:{table}</c>: the changes of live tables. To nobody, unless it is said: a change tells what is in the table.</summary>
    public Area Changes { get; }

    /// <summary><c>notifications:{user}</c>: what is for one user. To that user, on all devices, without asking.</summary>
    public Area Notifications { get; }

    /// <summary><c>suggestions:votes</c>: the tallies of votes. To every known user.</summary>
    public Area Suggestions { get; }

    /// <summary><c>resource:updates:{resourceId}</c>: what became of a resource. To every known user; no resource needs creating first.</summary>
    public Area Resources { get; }

    /// <summary><c>presence:{channel}</c>: who comes and goes. To those whom the channel's own area grants its presence.</summary>
    public Area Presence { get; }

    /// <summary><c>audit</c>: the audit log as it is written. To those who may administer.</summary>
    public Area Audit { get; }

    /// <summary>The area of a pattern.</summary>
    /// <exception cref="KeyNotFoundException">There is no such area.</exception>
    public Area this[string pattern] => Find(pattern) ?? throw new KeyNotFoundException($"There is no area {pattern}.");

    /// <summary>The area of a pattern; null where there is none.</summary>
    public Area? Find(string pattern) => this.FirstOrDefault(area => area.Pattern == pattern);

    internal Area? AreaOf(ChannelName name)
    {
        foreach (var area in this)
            if (area.Matches(name)) return area.Has(name) ? area : null;
        return null;
    }
}
