using System.Net;
using Carillon.Access;
using Carillon.Hub;

namespace Carillon.Tests.Live;

public class NamesAndRightsTests
{
    static readonly Caller Nobody = Caller.Anonymous(IPAddress.Loopback);
    static readonly Caller Alice = new("alice", "Alice", ["seller"], IPAddress.Loopback);

    [Theory]
    [InlineData("changes:ventes", true)]
    [InlineData("a", true)]
    [InlineData("été:日本", true)]
    [InlineData("__proto__", true)]
    [InlineData(null, false)]
    [InlineData("", false)]
    [InlineData(":", false)]
    [InlineData("a:", false)]
    [InlineData(":a", false)]
    [InlineData("a::b", false)]
    [InlineData("a\0b", false)]
    [InlineData("a\nb", false)]
    [InlineData("a😀", true)]
    public void A_name_is_parts_joined_by_colons(string? text, bool isName) => Assert.Equal(isName, ChannelName.TryParse(text, out _));

    [Fact]
    public void A_name_has_no_half_of_a_surrogate_pair()
    {
        foreach (var half in new[] { "a\ud800b", "a\ud800", "a\udc00", "\udc00\ud800" }) Assert.False(ChannelName.TryParse(half, out _));
    }

    [Fact]
    public void A_name_has_two_hundred_characters_at_most()
    {
        Assert.True(ChannelName.TryParse(new string('n', 200), out _));
        Assert.False(ChannelName.TryParse(new string('n', 201), out _));
    }

    [Theory]
    [InlineData("changes:{table}", "changes:ventes", true)]
    [InlineData("changes:{table}", "changes:a:b", false)]
    [InlineData("changes:{table}", "changes", false)]
    [InlineData("changes:{table}", "Changes:ventes", false)]
    [InlineData("resource:updates:{id}", "resource:updates:7", true)]
    [InlineData("resource:updates:{id}", "resource:7", false)]
    [InlineData("suggestions:votes", "suggestions:votes", true)]
    public void A_pattern_stands_for_names(string pattern, string name, bool matches) =>
        Assert.Equal(matches, new Area(pattern, "event").Matches(Name(name)));

    [Theory]
    [InlineData("nobody", false, false)]
    [InlineData("everyone", true, true)]
    [InlineData("users", false, true)]
    [InlineData("role:seller", false, true)]
    [InlineData("role:teacher", false, false)]
    [InlineData("role:teacher, role:seller", false, true)]
    [InlineData("owner", false, false)]
    [InlineData("members", false, true)]
    [InlineData("admins", false, false)]
    [InlineData("present", false, false)]
    public async Task A_grant_says_who_may(string grant, bool nobody, bool alice)
    {
        Assert.True(Grant.TryParse(grant, out var who));
        var area = new Area("a:{b}", "event") { Subscribe = who };
        Assert.Equal(nobody, await MayAsync(area, Nobody, "a:1"));
        Assert.Equal(alice, await MayAsync(area, Alice with { Memberships = new HashSet<string> { "a:1" } }, "a:1"));
        Assert.Equal(grant.Replace(" ", ""), who.ToString());
    }

    [Theory]
    [InlineData("")]
    [InlineData(null)]
    [InlineData("role:")]
    [InlineData("Everyone")]
    [InlineData("users, rubbish")]
    public void What_is_no_grant_is_not_read(string? text) => Assert.False(Grant.TryParse(text, out _));

    [Fact]
    public async Task What_is_not_granted_is_denied()
    {
        var area = new Area("a:{b}", "event");
        foreach (var action in Enum.GetValues<ChannelPermission>()) Assert.False(await area.AdmitsAsync(Alice, Name("a:1"), action, static (_, _) => false));
    }

    [Fact]
    public async Task The_owner_is_whose_id_stands_in_the_name()
    {
        var area = new Area("mailbox:{user}:{folder}", "mail") { Subscribe = Grant.Owner };
        Assert.True(await MayAsync(area, Alice, "mailbox:alice:in"));
        Assert.False(await MayAsync(area, Alice, "mailbox:bob:in"));
        Assert.False(await MayAsync(area, Alice, "mailbox:bob:alice"));
        Assert.False(await MayAsync(area, Nobody, "mailbox:alice:in"));
        Assert.False(await MayAsync(new Area("mailbox:{id}", "mail") { Subscribe = Grant.Owner }, Alice, "mailbox:alice"));
    }

    [Fact]
    public async Task The_application_s_own_rule_is_asked()
    {
        var area = new Area("a:{b}", "event") { Subscribe = Grant.When((caller, channel) => caller.Roles.Contains("seller") && channel.Value != "a:secret") };
        Assert.True(await MayAsync(area, Alice, "a:1"));
        Assert.False(await MayAsync(area, Alice, "a:secret"));
        Assert.False(await MayAsync(area, Nobody, "a:1"));
    }

    [Theory]
    [InlineData("orders:7", "orders:7", true)]
    [InlineData("orders:*", "orders:7", true)]
    [InlineData("orders:*", "orders:7:lines", true)]
    [InlineData("*", "orders:7", true)]
    [InlineData("orders:*:lines", "orders:7:lines", true)]
    [InlineData("orders:*:lines", "orders:7:8:lines", false)]
    [InlineData("orders:*:lines", "orders:7", false)]
    [InlineData("orders:*", "orders", false)]
    [InlineData("orders", "orders:7", false)]
    [InlineData("orders:7", "orders:70", false)]
    [InlineData("Orders:7", "orders:7", false)]
    [InlineData("", "orders:7", false)]
    public void A_capability_is_a_pattern_of_names(string pattern, string channel, bool matches) => Assert.Equal(matches, Capability.Matches(pattern, channel));

    [Fact]
    public async Task A_capability_of_the_token_allows_its_actions_and_no_others()
    {
        var area = new Area("orders:{id}", "order");
        var bearer = Alice with { Capabilities = new Dictionary<string, IReadOnlyList<string>> { ["orders:7"] = ["subscribe"], ["orders:8"] = ["*"] } };
        Assert.True(await MayAsync(area, bearer, "orders:7"));
        Assert.False(await MayAsync(area, bearer, "orders:9"));
        Assert.False(await area.AdmitsAsync(bearer, Name("orders:7"), ChannelPermission.Publish, static (_, _) => false));
        Assert.True(await area.AdmitsAsync(bearer, Name("orders:8"), ChannelPermission.Publish, static (_, _) => false));
    }

    static ValueTask<bool> MayAsync(Area area, Caller caller, string channel) => area.AdmitsAsync(caller, Name(channel), ChannelPermission.Subscribe, static (_, _) => false);

    static ChannelName Name(string text) => ChannelName.TryParse(text, out var name) ? name : throw new ArgumentException(text);
}
