using System.ComponentModel;
using System.Globalization;
using Carillon.Access;

namespace Carillon.Hub;

/// <summary>
/// To whom something is open. Grants are joined with <c>|</c>, and each has a text form for configuration: <c>everyone</c>, <c>users</c>,
/// <c>nobody</c>, <c>owner</c>,
/// <c>members</c>, <c>subscribers</c>, <c>present</c>, <c>admins</c>, <c>role:</c> with a role, and several of them with commas between.
/// </summary>
[TypeConverter(typeof(GrantConverter))]
public sealed class Grant
{
    readonly Func<Request, ValueTask<bool>> _admits;
    readonly string _text;

    /// <summary>What is asked: may this caller do this in that channel of an area?</summary>
    internal readonly record struct Request(
        Caller Caller, ChannelName Channel, Area Area, ChannelPermission Action, Func<Caller, ChannelName, bool> IsPresent);

    Grant(string text, Func<Request, ValueTask<bool>> admits) => (_text, _admits) = (text, admits);

    Grant(string text, Func<Request, bool> admits) : this(text, question => new ValueTask<bool>(admits(question)))
    {
    }

    /// <summary>To nobody. What is not granted is denied.</summary>
    public static Grant Nobody { get; } = new("nobody", _ => false);

    /// <summary>To everyone whom the host lets in, with a token or without.</summary>
    public static Grant Everyone { get; } = new("everyone", _ => true);

    /// <summary>To every known user.</summary>
    public static Grant Users { get; } = new("users", q => q.Caller.IsKnown);

    /// <summary>To the user whose id stands in the channel's name where the area's pattern says <c>{user}</c>.</summary>
    public static Grant Owner { get; } = new(
        "owner", q => q.Caller.UserId is { } id && q.Area.PartOf(q.Channel, "{user}").SequenceEqual(id));

    /// <summary>To the members of the channel (<c>PUT /api/channels/{channel}/members/{userId}</c>).</summary>
    public static Grant Members { get; } = new("members", q => q.Caller.Memberships.Contains(q.Channel.Value));

    /// <summary>To all who may subscribe to the channel; where that itself is asked, to nobody.</summary>
    public static Grant Subscribers { get; } = new("subscribers", q =>
        q.Action == ChannelPermission.Subscribe
            ? new(false) : q.Area.AdmitsAsync(q.Caller, q.Channel, ChannelPermission.Subscribe, q.IsPresent));

    /// <summary>To the users who are in the channel, on whatever device, and may still subscribe to it.</summary>
    public static Grant Present { get; } = new("present", q =>
        !q.IsPresent(q.Caller, q.Channel) ? new(false) : q.Action == ChannelPermission.Subscribe ? new(true) : Subscribers.AdmitsAsync(q));

    /// <summary>To those who may administer (<see cref="AccessOptions.AdminRoles"/>).</summary>
    public static Grant Admins { get; } = new("admins", q => q.Caller.IsAdmin);

    /// <summary>To the users with a role.</summary>
    public static Grant Role(string role) => new("role:" + role, q => q.Caller.Roles.Contains(role));

    /// <summary>
    /// To those of whom the application says so. It is asked when somebody subscribes, and again when rights change: keep it quick.
    /// </summary>
    public static Grant When(Func<Caller, ChannelName, ValueTask<bool>> rule) => new("when", q => rule(q.Caller, q.Channel));

    /// <summary>To those of whom the application says so.</summary>
    public static Grant When(Func<Caller, ChannelName, bool> rule) => new("when", q => rule(q.Caller, q.Channel));

    /// <summary>To those of the one and those of the other.</summary>
    public static Grant operator |(Grant left, Grant right) => new($"{left},{right}", q => EitherAsync(left, right, q));

    /// <summary>The same as <c>|</c>.</summary>
    public static Grant BitwiseOr(Grant left, Grant right) => left | right;

    /// <summary>Reads the text form; false where it is none.</summary>
    public static bool TryParse(string? text, out Grant grant)
    {
        grant = Nobody;
        var words = (text ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        foreach (var word in words)
        {
            if (OfWord(word) is not { } one) return false;
            grant = grant == Nobody ? one : grant | one;
        }
        return words.Length > 0;
    }

    /// <inheritdoc/>
    public override string ToString() => _text;

    internal ValueTask<bool> AdmitsAsync(Request question) => _admits(question);

    static Grant? OfWord(string word) => word switch
    {
        "nobody" => Nobody,
        "everyone" => Everyone,
        "users" => Users,
        "owner" => Owner,
        "members" => Members,
        "subscribers" => Subscribers,
        "present" => Present,
        "admins" => Admins,
        ['r', 'o', 'l', 'e', ':', _, ..] => Role(word["role:".Length..]),
        _ => null,
    };

    static async ValueTask<bool> EitherAsync(Grant left, Grant right, Request question) =>
        await left.AdmitsAsync(question) || await right.AdmitsAsync(question);
}

/// <summary>Lets configuration say who something is open to.</summary>
sealed class GrantConverter : TypeConverter
{
    public override bool CanConvertFrom(ITypeDescriptorContext? context, Type sourceType) => sourceType == typeof(string);

    public override object ConvertFrom(ITypeDescriptorContext? context, CultureInfo? culture, object value) =>
        Grant.TryParse(value as string, out var grant)
        ? grant
        : throw new FormatException(
            "Who something is open to is said by one or several of everyone, users, nobody, owner, members, subscribers, present, admins "
            + "and role:… with commas between.");
}
