using System.Diagnostics;
using System.Globalization;
using Carillon.SocketIO.Fuzz;

// Feeds the readers of what clients send with what no client sends: first every case that once failed, then made-up ones until the time is over.
//   dotnet run --project tests/Carillon.SocketIO.Fuzz -- [frames|payloads|packets] [--seconds 20 | --minutes N] [--seed S]
Target[] all = [new FrameTarget(), new PayloadTarget(), new PacketTarget()];
var time = TimeSpan.FromSeconds(20);
var seed = Environment.TickCount;
var targets = all;
for (var i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--seconds": time = TimeSpan.FromSeconds(double.Parse(args[++i], CultureInfo.InvariantCulture)); break;
        case "--minutes": time = TimeSpan.FromMinutes(double.Parse(args[++i], CultureInfo.InvariantCulture)); break;
        case "--seed": seed = int.Parse(args[++i], CultureInfo.InvariantCulture); break;
        case var name when all.Any(target => target.Name == name): targets = [.. all.Where(target => target.Name == name)]; break;
        case var unknown: Console.Error.WriteLine($"Unknown: {unknown}"); return 2;
    }
}
Console.WriteLine($"Seed {seed}, {time.TotalSeconds:0} seconds for each of: {string.Join(", ", targets.Select(target => target.Name))}");

var begun = Stopwatch.GetTimestamp();
var runs = targets.Select(target => Task.Factory.StartNew(() => target.Run(seed, () => Stopwatch.GetElapsedTime(begun) < time), TaskCreationOptions.LongRunning)).ToArray();
var over = Task.WhenAll(runs);
using var progress = new PeriodicTimer(TimeSpan.FromSeconds(time.TotalSeconds > 60 ? 10 : 5));
while (!over.IsCompleted && await Task.WhenAny(over, progress.WaitForNextTickAsync().AsTask()) != over)
    Console.WriteLine($"{Stopwatch.GetElapsedTime(begun).TotalSeconds,6:0} s  {string.Join(", ", targets.Select(target => $"{target.Name} {target.Inputs:N0}"))}");
var failures = (await over).OfType<string>().ToArray();
foreach (var failure in failures) Console.WriteLine(failure);
foreach (var target in targets) Console.WriteLine($"{target.Name}: {target.Cases} kept cases and {target.Inputs:N0} inputs, of which {target.Accepted:P0} were taken");
Console.WriteLine($"Passed: {targets.Length - failures.Length}, Failed: {failures.Length}");
return failures.Length == 0 ? 0 : 1;
