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
    public void Every_dependency_says_why()
    {
        var reasons = File.ReadAllText(Repository.Folder("docs/dependencies.md"));
        var packages = Regex.Matches(File.ReadAllText(Repository.Folder("Directory.Packages.props")), "PackageVersion Include=\"([^\"]+)\"").Select(m => m.Groups[1].Value);
        Assert.All(packages, package => Assert.Contains(package, reasons, StringComparison.Ordinal));
    }
}
