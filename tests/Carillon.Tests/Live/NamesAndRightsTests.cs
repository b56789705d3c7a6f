using System.Net;
using Carillon.Access;
using Carillon.Live;

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

    [Fact]
    public void What_is_not_granted_is_denied()
    {
        var area = new Area("a:{b}", "event");
        Assert.False(area.Admits(Alice, Name("a:1")));
        area.Audience = Audience.KnownUsers;
        Assert.True(area.Admits(Alice, Name("a:1")));
        Assert.False(area.Admits(Nobody, Name("a:1")));
        area.Audience = Audience.Everyone;
        Assert.True(area.Admits(Nobody, Name("a:1")));
        area.MaySubscribe = (caller, channel) => caller.Roles.Contains("seller") && channel.Value != "a:secret";
        Assert.True(area.Admits(Alice, Name("a:1")));
        Assert.False(area.Admits(Alice, Name("a:secret")));
        Assert.False(area.Admits(Nobody, Name("a:1")));
    }

    static ChannelName Name(string text) => ChannelName.TryParse(text, out var name) ? name : throw new ArgumentException(text);
}
