using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace Carillon.House.Tests;

/// <summary>
/// Every C# block of every page compiles in a new web project, with the `using` lines that stand in it and no others. A block that makes a
/// builder is a whole program; the others go into such a program, where the variables of its page are known.
/// </summary>
public class DocumentedCodeTests
{
    // What `dotnet new web` brings (ImplicitUsings).
    static readonly string[] ImplicitUsings =
    [
        "System", "System.Collections.Generic", "System.IO", "System.Linq", "System.Net.Http", "System.Net.Http.Json", "System.Threading",
        "System.Threading.Tasks", "Microsoft.AspNetCore.Builder", "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Http",
        "Microsoft.AspNetCore.Routing", "Microsoft.Extensions.Configuration", "Microsoft.Extensions.DependencyInjection",
        "Microsoft.Extensions.Hosting", "Microsoft.Extensions.Logging",
    ];

    // The variables of the program that a page begins with, and those its text introduces.
    static readonly Dictionary<string, string> Known = new()
    {
        ["docs/guide.md"] = "WebApplicationBuilder builder = null!; WebApplication app = null!; Carillon.Hosting.CarillonOptions carillon = null!;",
        ["docs/access.md"] = "Carillon.Hosting.CarillonOptions carillon = null!;",
        ["docs/changes.md"] = """
            Carillon.Changes.LiveTables liveTables = null!; CancellationToken ct = default;
            Task MigrateAsync(CancellationToken ct) => Task.CompletedTask;
            """,
        ["docs/socketio.md"] = "WebApplicationBuilder builder = null!; WebApplication app = null!; Carillon.SocketIO.Sockets.SocketServer io = null!;",
    };

    static readonly MetadataReference[] References =
        [.. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Select(file => MetadataReference.CreateFromFile(file))];

    public static TheoryData<string, int> Blocks()
    {
        var data = new TheoryData<string, int>();
        foreach (var page in Pages())
            foreach (var (line, _) in BlocksOf(page)) data.Add(page, line);
        return data;
    }

    [Theory]
    [MemberData(nameof(Blocks))]
    public void A_block_compiles_in_a_new_project(string page, int line)
    {
        var block = BlocksOf(page).Single(block => block.Line == line).Code;
        Assert.Empty(Compile(page, block));
    }

    [Fact]
    public void The_pages_that_a_newcomer_reads_first_have_blocks_and_begin_with_a_whole_program()
    {
        foreach (var page in new[] { "README.md", "docs/guide.md", "docs/socketio.md" })
            Assert.Contains("WebApplication.CreateBuilder(args)", BlocksOf(page)[0].Code, StringComparison.Ordinal);
    }

    [Fact]
    public void A_block_without_its_using_lines_does_not_compile() =>
        Assert.NotEmpty(Compile("README.md", BlocksOf("README.md")[0].Code.Replace("using Carillon.Hub;", "", StringComparison.Ordinal)));

    static IEnumerable<string> Pages() => Directory.EnumerateFiles(Repository.Root, "*.md")
        .Concat(Directory.EnumerateFiles(Repository.Folder("docs"), "*.md", SearchOption.AllDirectories))
        .Select(file => Path.GetRelativePath(Repository.Root, file).Replace('\\', '/')).Order(StringComparer.Ordinal);

    static List<(int Line, string Code)> BlocksOf(string page)
    {
        var text = File.ReadAllText(Repository.Folder(page));
        const RegexOptions Lines = RegexOptions.Multiline | RegexOptions.Singleline | RegexOptions.IgnoreCase;
        return [.. Regex.Matches(text, "^```(?:csharp|cs|c#)\n(.*?)^```", Lines)
            .Select(match => (text[..match.Index].Count(letter => letter == '\n') + 2, match.Groups[1].Value))];
    }

    static List<string> Compile(string page, string block)
    {
        var isProgram = block.Contains("WebApplication.CreateBuilder", StringComparison.Ordinal);
        var lines = block.Split('\n').ToLookup(line => Regex.IsMatch(line, @"^using [\w.]+;"));
        var source = isProgram ? block : string.Join('\n', [.. lines[true], Known.GetValueOrDefault(page), .. lines[false]]);
        var compilation = CSharpCompilation.Create("Block",
            [Parse(string.Concat(ImplicitUsings.Select(name => $"global using global::{name};\n"))), Parse(source)], References,
            new CSharpCompilationOptions(OutputKind.ConsoleApplication, nullableContextOptions: NullableContextOptions.Enable));
        // Errors, and what the compiler says of null: a new project shows those warnings.
        return [.. compilation.GetDiagnostics(TestContext.Current.CancellationToken)
            .Where(problem => problem.Severity == DiagnosticSeverity.Error || problem.Id.StartsWith("CS86", StringComparison.Ordinal))
            .Select(problem => $"{problem.Id}: {problem.GetMessage(System.Globalization.CultureInfo.InvariantCulture)}\n{LineOf(problem)}")];

        string? LineOf(Diagnostic problem) => source.Split('\n').ElementAtOrDefault(problem.Location.GetLineSpan().StartLinePosition.Line);
    }

    static SyntaxTree Parse(string source) => CSharpSyntaxTree.ParseText(
        source, new CSharpParseOptions(LanguageVersion.Latest), cancellationToken: TestContext.Current.CancellationToken);
}
