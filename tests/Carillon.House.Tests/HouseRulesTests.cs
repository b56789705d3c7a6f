using System.Text.RegularExpressions;

namespace Carillon.House.Tests;

/// <summary>Rules that no compiler checks.</summary>
public class HouseRulesTests
{
    [Fact]
    public void Every_project_is_in_the_solution()
    {
        var solution = File.ReadAllText(Repository.Folder("Carillon.slnx"));
        var projects = new[] { "src", "samples", "tests", "bench" }
            .SelectMany(folder => Directory.EnumerateFiles(Repository.Folder(folder), "*.csproj", SearchOption.AllDirectories))
            .Where(file => !file.Contains("node_modules", StringComparison.Ordinal));
        Assert.All(projects, file => Assert.Contains(Path.GetRelativePath(Repository.Root, file).Replace('\\', '/'), solution, StringComparison.Ordinal));
    }

    [Fact]
    public void Links_between_pages_lead_somewhere()
    {
        var pages = Directory.EnumerateFiles(Repository.Root, "*.md").Concat(Directory.EnumerateFiles(Repository.Folder("docs"), "*.md", SearchOption.AllDirectories))
            .Concat(Directory.EnumerateFiles(Repository.Folder("web/packages"), "README.md", SearchOption.AllDirectories).Where(f => !f.Contains("node_modules", StringComparison.Ordinal)));
        var broken = pages.SelectMany(page => Regex.Matches(File.ReadAllText(page), @"\]\((?!https?:|#|mailto:)([^)#\s]+)")
            .Select(match => (Page: Path.GetRelativePath(Repository.Root, page), Link: match.Groups[1].Value))
            .Where(entry => !Path.Exists(Path.Combine(Path.GetDirectoryName(Repository.Folder(entry.Page))!, entry.Link))));
        Assert.Empty(broken);
    }

    [Fact]
    public void Every_promise_about_hostile_input_names_a_test_that_exists()
    {
        var rows = File.ReadLines(Repository.Folder("docs/security.md")).Where(line => line.StartsWith("| ", StringComparison.Ordinal) && line.Contains('`')).ToList();
        var sources = Repository.Sources("tests").GroupBy(Path.GetFileNameWithoutExtension).ToDictionary(files => files.Key!, files => string.Concat(files.Select(File.ReadAllText)));
        string[] folders = ["tests/stock-clients", .. Directory.EnumerateDirectories(Repository.Folder("web/packages")).Select(package => Path.Combine(package, "test"))];
        Assert.True(rows.Count >= 20, "the table has its rows");
        Assert.All(rows, row =>
        {
            var tests = Regex.Matches(row.Split('|')[^2], @"`(\w+)\.(\w+)`");
            var scripts = Regex.Matches(row.Split('|')[^2], @"`([\w-]+\.test\.[jt]s)`");
            Assert.True(tests.Count + scripts.Count > 0, $"no test: {row}");
            Assert.All(scripts, script => Assert.True(
                folders.Any(folder => File.Exists(Path.Combine(Repository.Folder(folder), script.Groups[1].Value))), $"no such test: {script.Value}"));
            Assert.All(tests, test => Assert.True(
                sources.GetValueOrDefault(test.Groups[1].Value)?.Contains($" {test.Groups[2].Value}(", StringComparison.Ordinal) == true, $"no such test: {test.Value}"));
        });
    }

    [Fact]
    public void Every_dependency_says_why()
    {
        var reasons = File.ReadAllText(Repository.Folder("docs/dependencies.md"));
        var packages = Regex.Matches(File.ReadAllText(Repository.Folder("Directory.Packages.props")), "PackageVersion Include=\"([^\"]+)\"").Select(m => m.Groups[1].Value);
        Assert.All(packages, package => Assert.Contains(package, reasons, StringComparison.Ordinal));
    }
}
