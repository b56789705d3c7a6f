using System.Diagnostics;

namespace Carillon.Diagnostics;

/// <summary>
/// The spans of a publication, in the source <c>Carillon</c>: <c>publish</c>, from the call or the commit, and in it <c>deliver</c>, on
/// each server with subscribers, which ends when the last of them was handed the publication. While nobody listens there is none.
/// </summary>
static class ProductTraces
{
    static readonly ActivitySource Source = new("Carillon");

    /// <summary>Whether somebody listens.</summary>
    public static bool IsOn => Source.HasListeners();

    /// <summary>A publication that belongs to what the caller is doing.</summary>
    public static Activity? Publish(string? area) => Tagged(Source.StartActivity("publish", ActivityKind.Producer), area);

    /// <summary>A publication of a change: it begins with the commit, which may have been another process's.</summary>
    public static Activity? PublishChange(string area, DateTimeOffset committedAt) =>
        IsOn ? Tagged(Source.StartActivity("publish", ActivityKind.Producer, parentContext: default, startTime: committedAt), area) : null;

    /// <summary>The publication of what a caller has committed, in the caller's trace.</summary>
    public static Activity? Announce(Activity? caller) =>
        caller is null ? null : Source.StartActivity("announce", ActivityKind.Internal, caller.Context);

    public static Activity? Deliver(string area) => Tagged(Source.StartActivity("deliver"), area);

    static Activity? Tagged(Activity? activity, string? area) => activity?.SetTag("carillon.area", area ?? "none");
}
