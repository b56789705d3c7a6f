using System.Globalization;

namespace Carillon.BenchLoad;

/// <summary>What the server costs, as Linux counts it. Without a process id everything is zero.</summary>
sealed class ServerProcess(int pid)
{
    const double TicksPerSecond = 100;    // USER_HZ: the same on every Linux that .NET runs on
    const double PageKiB = 4;

    /// <summary>Seconds of CPU since it started: user and system, all threads.</summary>
    public double CpuSeconds()
    {
        if (pid == 0) return 0;
        var stat = File.ReadAllText($"/proc/{pid}/stat");
        var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return (double.Parse(fields[11]) + double.Parse(fields[12])) / TicksPerSecond;
    }

    /// <summary>Resident memory, cheap enough to ask often.</summary>
    public double ResidentKiB() => pid == 0 ? 0 : double.Parse(File.ReadAllText($"/proc/{pid}/statm").Split(' ')[1]) * PageKiB;

    /// <summary>Memory to the page: resident, and what nobody shares with it. It stops the process for milliseconds.</summary>
    public (double Resident, double Private) ExactKiB()
    {
        if (pid == 0) return default;
        var lines = File.ReadAllLines($"/proc/{pid}/smaps_rollup");
        return (Sum("Rss:"), Sum("Private_Clean:") + Sum("Private_Dirty:"));

        double Sum(string name) => lines.Where(line => line.StartsWith(name, StringComparison.Ordinal))
            .Sum(line => double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture));
    }

    /// <summary>Seconds for which a core did anything at all. Zero without a core.</summary>
    public static double BusySeconds(int core)
    {
        if (core < 0) return 0;
        var line = File.ReadLines("/proc/stat").First(line => line.StartsWith($"cpu{core} ", StringComparison.Ordinal));
        var ticks = line.Split(' ').Skip(1).Select(double.Parse).ToArray();
        return (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6] + ticks[7]) / TicksPerSecond;   // all but idle and waiting for disks
    }
}
