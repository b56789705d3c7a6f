using System.Globalization;
using System.Text.RegularExpressions;

namespace Carillon.Server.Tests;

/// <summary>
/// Reads the text format 0.0.4 of Prometheus strictly: TYPE, and HELP and UNIT at most once, before the samples of a family; families in
/// one piece; no series twice; histograms whose buckets grow up to their count.
/// </summary>
sealed partial class Exposition
{
    public sealed record Sample(string Name, IReadOnlyDictionary<string, string> Labels, double Value);

    public Dictionary<string, string> Types { get; } = [];

    public List<Sample> Samples { get; } = [];

    public static Exposition Parse(string text)
    {
        var read = new Exposition();
        Assert.EndsWith("\n", text, StringComparison.Ordinal);
        Assert.DoesNotContain('\r', text);
        var family = "";
        HashSet<string> described = [], series = [];
        var lines = text.Split('\n')[..^1];
        foreach (var line in lines[^1] == "# EOF" ? lines[..^1] : lines)
        {
            if (Type().Match(line) is { Success: true } type)
            {
                family = type.Groups[1].Value;
                Assert.True(read.Types.TryAdd(family, type.Groups[2].Value), $"TYPE twice: {line}");
            }
            else if (Description().Match(line) is { Success: true } description)
            {
                Assert.Equal(family, description.Groups["name"].Value);
                Assert.True(described.Add($"{description.Groups["kind"].Value} {family}"), $"Twice: {line}");
            }
            else
            {
                var match = Line().Match(line);
                Assert.True(match.Success, $"No line of the format: {line}");
                var (name, kind) = (match.Groups["name"].Value, read.Types[family]);
                Assert.Contains(name, kind == "histogram" ? [$"{family}_bucket", $"{family}_sum", $"{family}_count"] : new[] { family });
                if (kind == "counter") Assert.EndsWith("_total", name, StringComparison.Ordinal);
                var labels = Label().Matches(match.Groups["labels"].Value).ToDictionary(label => label.Groups[1].Value, label => Unescaped(label.Groups[2].Value));
                Assert.Equal(match.Groups["labels"].Value, string.Join(',', Label().Matches(match.Groups["labels"].Value).Select(label => label.Value)));
                Assert.True(series.Add(name + "|" + string.Join('|', labels.OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => $"{l.Key}={l.Value}"))), $"The same series twice: {line}");
                read.Samples.Add(new Sample(name, labels, match.Groups["value"].Value is "+Inf" ? double.PositiveInfinity : double.Parse(match.Groups["value"].Value, CultureInfo.InvariantCulture)));
            }
        }
        foreach (var (name, _) in read.Types.Where(type => type.Value == "histogram")) read.CheckHistogram(name);
        return read;
    }

    public double this[string name, params (string Name, string Value)[] labels] =>
        Samples.Single(sample => sample.Name == name && labels.All(label => sample.Labels.GetValueOrDefault(label.Name) == label.Value)).Value;

    void CheckHistogram(string name)
    {
        static string Rest(Sample sample) => string.Join('|', sample.Labels.Where(l => l.Key != "le").OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => $"{l.Key}={l.Value}"));
        foreach (var buckets in Samples.Where(sample => sample.Name == $"{name}_bucket").GroupBy(Rest))
        {
            Assert.Equal("+Inf", buckets.Last().Labels["le"]);
            Assert.Equal(buckets.Select(bucket => bucket.Value).Order(), buckets.Select(bucket => bucket.Value));
            Assert.Equal(buckets.Last().Value, Samples.Single(sample => sample.Name == $"{name}_count" && Rest(sample) == buckets.Key).Value);
            Assert.Single(Samples, sample => sample.Name == $"{name}_sum" && Rest(sample) == buckets.Key);
        }
    }

    static string Unescaped(string text) => Regex.Replace(text, @"\\(.)", match => match.Groups[1].Value == "n" ? "\n" : match.Groups[1].Value);

    [GeneratedRegex(@"^# (?<kind>HELP|UNIT) (?<name>[a-zA-Z_:][a-zA-Z0-9_:]*) (?:[^\\]|\\\\|\\n)+$")]
    private static partial Regex Description();

    [GeneratedRegex(@"^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)$")]
    private static partial Regex Type();

    [GeneratedRegex("""^(?<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?<labels>[^\n]*)\})? (?<value>[+-]Inf|NaN|[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)$""")]
    private static partial Regex Line();

    [GeneratedRegex("""([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?=,|$)""")]
    private static partial Regex Label();
}
