using System.Diagnostics;
using System.Text.Json;
using Carillon.MicroBench;

if (args is ["joins", ..])
{
    const int subscribers = 100_000;
    for (var round = 1; round <= 3; round++)
        Console.WriteLine($"{subscribers:N0} subscribers joined a channel of their own in {(await JoinBenchmark.RunAsync(subscribers)).TotalSeconds:N2} s");
    return 0;
}

// Prints the time and the bytes of the small things, beside what they may allocate:  ./dev bench micro
var budgets = JsonSerializer.Deserialize<Dictionary<string, long>>(File.ReadAllText(args.Length > 0 ? args[0] : "bench/budgets.json"))!;
var all = new MicroBenchmarks().All;
var exceeded = 0;
Console.WriteLine($"{"",-42} {"ns",12} {"bytes",8} {"budget",8}");
foreach (var (name, benchmark) in all)
{
    var bytes = MicroBenchmarks.BytesOf(benchmark);
    if (bytes > budgets[name]) exceeded++;
    Console.WriteLine($"{name,-42} {NanosecondsOf(benchmark),12:N0} {bytes,8:N0} {budgets[name],8:N0}{(bytes > budgets[name] ? "  exceeded" : "")}");
}
return exceeded == 0 ? 0 : 1;

// The median of rounds that last long enough to be measured.
static double NanosecondsOf(Action benchmark)
{
    var rounds = new double[9];
    for (var round = 0; round < rounds.Length; round++)
    {
        var calls = 0;
        var clock = Stopwatch.StartNew();
        while (clock.ElapsedMilliseconds < 100)
        {
            for (var i = 0; i < 16; i++) benchmark();
            calls += 16;
        }
        rounds[round] = clock.Elapsed.TotalNanoseconds / calls;
    }
    Array.Sort(rounds);
    return rounds[rounds.Length / 2];
}
