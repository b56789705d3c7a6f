using Carillon.Hub;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Carillon.Tests.Live;

public class LogTests
{
    [Theory]
    [InlineData(LogLevel.Information, 0)]
    [InlineData(LogLevel.Debug, 3)]
    public async Task Publications_are_logged_at_debug_only(LogLevel level, int expected)
    {
        var lines = new Lines();
        await using var app = await TestApp.StartAsync(options =>
        {
            options.AllowAnonymous = true;
            options.Areas.Add(new Area("news:{topic}", "news") { Subscribe = Grant.Everyone });
        }, services => services.AddLogging(logging => logging.SetMinimumLevel(level).AddProvider(lines)));
        using var client = await app.ConnectAsync();
        await client.AskAsync("subscribe", "news:sport");
        await client.NextAsync("subscribed");
        for (var i = 0; i < 3; i++) await app.Live.PublishAsync("news:sport", new { i });
        for (var i = 0; i < 3; i++) await client.NextAsync("news");
        await app.StopAsync();
        Assert.Equal(expected, lines.All.Count(line => line == "Broadcasting news to 1 clients on news:sport"));
    }
}
