using Carillon.Hub;
using Carillon.SocketIO.Sockets;
using Carillon.TestTools;
using Carillon.Tests.Live;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.Tests.Lifecycle;

/// <summary>A client hears how well its connection does, once, and when that changes.</summary>
public class QualityTests
{
    [Theory]
    [InlineData("Unknown", 40, 20, "Good")]
    [InlineData("Unknown", 300, 150, "Good")]
    [InlineData("Unknown", 301, 20, "Fair")]
    [InlineData("Unknown", 40, 151, "Fair")]
    [InlineData("Unknown", 801, 20, "Poor")]
    [InlineData("Unknown", 40, 401, "Poor")]
    [InlineData("Good", 301, 20, "Fair")]            // worse is told at once
    [InlineData("Fair", 299, 20, "Fair")]            // better only by a fifth
    [InlineData("Fair", 240, 120, "Good")]
    [InlineData("Fair", 240, 121, "Fair")]
    [InlineData("Poor", 799, 20, "Poor")]
    [InlineData("Poor", 299, 20, "Fair")]            // surely better than poor, not yet surely good
    [InlineData("Poor", 40, 20, "Good")]
    public void The_level_follows_the_measurements_without_flapping(string told, double rttMs, double jitterMs, string expected) =>
        Assert.Equal(expected, ConnectionQuality.Next(Enum.Parse<QualityLevel>(told), rttMs, jitterMs).ToString());

    [Fact]
    public async Task A_client_hears_of_its_quality_soon_after_connecting_and_when_it_changes()
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartAsync(options => options.AllowAnonymous = true, services => services.AddSingleton<TimeProvider>(clock));
        using var client = await app.ConnectAsync(hearsQuality: true);
        client.HoldsPings = true;

        await PingAsync(TimeSpan.FromSeconds(1.5), answeredAfter: TimeSpan.FromMilliseconds(80));
        var first = await client.NextAsync("connection:quality");
        await PingAsync(TimeSpan.FromSeconds(25.5), answeredAfter: TimeSpan.FromSeconds(8));
        var second = await client.NextAsync("connection:quality");

        Assert.Equal("{\"rttMs\":80,\"jitterMs\":40,\"level\":\"good\"}", first.GetRawText());
        Assert.Equal("{\"rttMs\":1070,\"jitterMs\":2010,\"level\":\"poor\"}", second.GetRawText());

        async Task PingAsync(TimeSpan after, TimeSpan answeredAfter)
        {
            clock.Advance(after);
            Assert.Equal("2", await client.RawAsync());
            clock.Advance(answeredAfter);
            await client.SendAsync("3");
        }
    }

    [Fact]
    public async Task The_host_may_say_when_connections_are_measured()
    {
        await using var app = await TestApp.StartAsync(options => options.AllowAnonymous = true, services => services.Configure<SocketIOOptions>(io =>
            (io.Engine.FirstPingAfter, io.Engine.MinPingTimeout) = (TimeSpan.FromMilliseconds(20), io.Engine.PingTimeout)));
        using var client = await app.ConnectAsync(hearsQuality: true);

        Assert.Equal("good", (await client.NextAsync("connection:quality")).GetProperty("level").GetString());
        Assert.Equal(app.Get<SocketServer>().Engine.Options.PingTimeout, app.Get<SocketServer>().Engine.Options.MinPingTimeout);
    }

    [Fact]
    public async Task Out_of_the_box_clients_are_measured_after_a_second_and_missed_after_ten()
    {
        await using var app = await TestApp.StartAsync(_ => { });
        var engine = app.Get<SocketServer>().Engine.Options;
        Assert.Equal((TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(20)), (engine.FirstPingAfter, engine.MinPingTimeout, engine.PingTimeout));
    }
}
