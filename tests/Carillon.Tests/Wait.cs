namespace Carillon.Tests;

/// <summary>Waits for what has no event of its own.</summary>
static class Wait
{
    public static Task UntilAsync(Func<bool> holds) => UntilAsync(() => Task.FromResult(holds()));

    public static async Task UntilAsync(Func<Task<bool>> holds)
    {
        var began = TimeProvider.System.GetTimestamp();
        while (!await holds())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(began) < TimeSpan.FromSeconds(10), "It did not come to be within ten seconds.");
            await Task.Delay(20);
        }
    }
}
