namespace Carillon.Tests;

/// <summary>Rounds of chance whose seed is told when one fails. CARILLON_SEED repeats a round.</summary>
static class Chance
{
    public static IEnumerable<(int Seed, Random Random)> Rounds(int count)
    {
        if (int.TryParse(Environment.GetEnvironmentVariable("CARILLON_SEED"), out var one)) return [(one, new Random(one))];
        var first = Environment.TickCount;
        return Enumerable.Range(0, count).Select(i => (first + i, new Random(first + i)));
    }
}
