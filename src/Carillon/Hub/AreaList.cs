using System.Collections.ObjectModel;

namespace Carillon.Hub;

/// <summary>
/// The areas of a server: those of Carillon and its features, to be opened or narrowed, and the application's own. A name belongs to the
/// first area that matches it.
/// </summary>
public sealed class AreaList : Collection<Area>
{
    internal AreaList(IEnumerable<Area> ofFeatures)
    {
        Add(Changes = new Area("changes:{table}", "change") { IsOfTheServer = true });
        Add(Audit = new Area("audit", "audit")
        {
            Subscribe = Grant.Admins, EmitsPresence = false, IsOfTheServer = true,
            HistorySize = 1000, HistoryTtl = TimeSpan.FromMinutes(10),
        });
        foreach (var area in ofFeatures) Add(area);
    }

    /// <summary>
    /// <c>changes:{table}</c>: the changes of live tables. Granted to nobody by default: a change shows the row of the table.
    /// </summary>
    public Area Changes { get; }

    /// <summary><c>audit</c>: the audit log as it is written. Granted to administrators.</summary>
    public Area Audit { get; }

    /// <summary>
    /// The area with a pattern, such as <c>suggestions:votes</c>, <c>resource:updates:{resourceId}</c> or <c>notifications:{user}</c>.
    /// </summary>
    /// <exception cref="KeyNotFoundException">There is no such area.</exception>
    public Area this[string pattern] => Find(pattern) ?? throw new KeyNotFoundException($"There is no area {pattern}.");

    /// <summary>The area with a pattern; null where there is none.</summary>
    public Area? Find(string pattern) => this.FirstOrDefault(area => area.Pattern == pattern);

    internal Area? AreaOf(ChannelName name)
    {
        foreach (var area in this)
            if (area.Matches(name)) return area.Has(name) ? area : null;
        return null;
    }
}
