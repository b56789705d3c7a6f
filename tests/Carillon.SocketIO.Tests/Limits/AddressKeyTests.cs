using System.Net;
using Carillon.SocketIO.Limits;

namespace Carillon.SocketIO.Tests;

/// <summary>Who is counted together, and how it is written.</summary>
public class AddressKeyTests
{
    [Theory]
    [InlineData("192.0.2.7", "192.0.2.7")]
    [InlineData("::ffff:192.0.2.7", "192.0.2.7")]
    [InlineData("0.0.0.0", "0.0.0.0")]
    [InlineData("255.255.255.255", "255.255.255.255")]
    [InlineData("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64")]
    [InlineData("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64")]
    [InlineData("2001:db8::", "2001:db8::/64")]
    [InlineData("fe80::1%3", "fe80::/64")]
    [InlineData("::1", "::/64")]
    public void An_address_counts_as_itself_or_as_its_network(string address, string counted)
    {
        var key = AddressKey.Of(IPAddress.Parse(address));

        Assert.Equal(counted, key.ToString());
        Assert.True(AddressKey.TryParse(counted, out var read));
        Assert.Equal(key, read);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("7")]
    [InlineData("127.1")]
    [InlineData("192.0.2.7/64")]
    [InlineData("192.0.2.0/24")]
    [InlineData("2001:db8::/48")]
    [InlineData("somewhere")]
    public void What_is_no_address_is_not_read(string? text) => Assert.False(AddressKey.TryParse(text, out _));
}
