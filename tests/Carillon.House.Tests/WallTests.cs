using System.Reflection;
using System.Text.RegularExpressions;
using Carillon.Channels;
using Carillon.Hosting;
using Carillon.SocketIO.Sockets;

namespace Carillon.House.Tests;

/// <summary>The walls of the house: who may know whom (ARCHITECTURE.md).</summary>
public class WallTests
{
    static readonly Assembly Channels = typeof(IChannelLayer).Assembly;
    static readonly Assembly SocketIO = typeof(SocketServer).Assembly;
    static readonly Assembly Product = typeof(CarillonOptions).Assembly;

    [Fact]
    public void Channels_knows_nobody_and_no_ASP_NET() => Assert.DoesNotContain(References(Channels), name => IsOurs(name) || IsAspNet(name));

    [Fact]
    public void SocketIO_knows_nobody() => Assert.DoesNotContain(References(SocketIO), IsOurs);

    [Fact]
    public void The_product_knows_the_two_below_it_and_no_sample() =>
        Assert.Equal(["Carillon.Channels", "Carillon.SocketIO"], References(Product).Where(IsOurs).Order(StringComparer.Ordinal));

    [Fact]
    public void The_server_is_a_program_around_the_product_and_nobody_knows_it()
    {
        var server = Assembly.Load("Carillon.Server");
        Assert.Contains("Carillon", References(server));
        Assert.All([Channels, SocketIO, Product], assembly => Assert.DoesNotContain("Carillon.Server", References(assembly)));
    }

    // Each folder with those that its types may refer to. What stands further down knows nothing of what stands further up.
    static readonly Dictionary<string, string[]> SocketIOFolders = new()
    {
        ["Hosting"] = ["Sockets", "Packets", "Engine", "WebSockets", "Limits", "Diagnostics"],
        ["Sockets"] = ["Packets", "Engine", "Limits", "Diagnostics"],
        ["Packets"] = [],
        ["Engine"] = ["WebSockets", "Limits", "Diagnostics"],
        ["WebSockets"] = ["Limits", "Diagnostics"],
        ["Limits"] = ["Diagnostics"],
        ["Diagnostics"] = [],
    };

    static readonly string[] Features = ["Votes", "Resources", "Presence", "Administration"];

    static readonly Dictionary<string, string[]> ProductFolders = new()
    {
        ["Votes"] = ["Api", "ClientEvents", "Hub", "Access", "Audit", "Storage", "Diagnostics"],
        ["Resources"] = ["Api", "ClientEvents", "Hub", "Access", "Audit", "Storage", "Diagnostics"],
        ["Presence"] = ["Api", "ClientEvents", "Hub", "Access", "Audit", "Storage", "Diagnostics"],
        ["Administration"] = ["Api", "ClientEvents", "Hub", "Access", "Audit", "Storage", "Diagnostics"],
        ["ClientEvents"] = ["Api", "Hub", "Access", "Audit", "Storage", "Diagnostics"],
        ["Api"] = ["Hub", "Access", "Audit", "Storage", "Diagnostics"],
        ["Hub"] = ["Access", "Audit", "Storage", "Diagnostics"],
        ["Access"] = ["Audit", "Storage", "Diagnostics"],
        ["Audit"] = ["Storage", "Diagnostics"],
        ["Changes"] = ["Storage", "Diagnostics"],
        ["Storage"] = ["Diagnostics"],
        ["Diagnostics"] = [],
    };

    [Fact]
    public void The_folders_of_SocketIO_look_down_only() => AssertWalls(SocketIO, "Carillon.SocketIO", SocketIOFolders);

    [Fact]
    public void The_folders_of_the_product_look_down_only() => AssertWalls(Product, "Carillon", ProductFolders);

    [Fact]
    public void No_feature_knows_another_and_no_core_folder_knows_a_feature() =>
        Assert.DoesNotContain(ProductFolders, folder => folder.Value.Intersect(Features).Any());

    [Fact]
    public void Every_namespace_is_its_folder()
    {
        var misplaced =
            from file in Repository.Sources("src").Concat(Repository.Sources("samples"))
            let parts = Path.GetDirectoryName(Path.GetRelativePath(Repository.Folder("."), file))!.Split('/', '\\')[1..]
            let found = Regex.Match(File.ReadAllText(file), @"^namespace ([\w.]+);", RegexOptions.Multiline).Groups[1].Value
            where found.Length > 0 && !found.StartsWith("Microsoft.", StringComparison.Ordinal) && found != string.Join('.', parts)
            select $"{file}: {found}";
        Assert.Empty(misplaced);
    }

    [Fact]
    public void Packets_know_no_ASP_NET() => AssertNone(["src/Carillon.SocketIO/Packets"], "Microsoft.AspNetCore");

    // Hosting puts everything together and may know all; the root folder holds the small types that all know.
    static void AssertWalls(Assembly assembly, string root, Dictionary<string, string[]> folders)
    {
        var references = TypeReferences.Between(assembly);
        Assert.True(references.Count > 100, "hardly any references were found");
        var forbidden =
            from reference in references
            let source = FolderOf(reference.From, root)
            let target = FolderOf(reference.To, root)
            where source != target && source is not (null or "Hosting" or "") && target is not (null or "")
            where !folders.TryGetValue(source, out var allowed) || !allowed.Contains(target)
            select $"{reference.From.FullName} -> {reference.To.FullName}";
        Assert.Empty(forbidden.Order(StringComparer.Ordinal));
        Assert.Empty(folders.Keys.Except(references.SelectMany(reference => new[] { FolderOf(reference.From, root), FolderOf(reference.To, root) })));
    }

    static string? FolderOf(Type type, string root) =>
        type.Namespace == root ? "" :
        type.Namespace?.StartsWith(root + ".", StringComparison.Ordinal) == true ? type.Namespace[(root.Length + 1)..].Split('.')[0] : null;

    [Fact]
    public void SocketIO_speaks_no_word_of_the_product() =>
        AssertNone(["src/Carillon.SocketIO"], @"(?i)\b(ventes?|magasin|notifications?|suggestions?|carillon_\w+)\b");

    static void AssertNone(string[] folders, string pattern)
    {
        var found = folders.SelectMany(Repository.Sources)
            .SelectMany(file => File.ReadLines(file).Select((line, i) => (Place: $"{Path.GetFileName(file)}:{i + 1}", Line: line)))
            .Where(entry => !entry.Line.TrimStart().StartsWith("//", StringComparison.Ordinal) && Regex.IsMatch(entry.Line, pattern));
        Assert.Empty(found);
    }

    static IEnumerable<string> References(Assembly assembly) => assembly.GetReferencedAssemblies().Select(name => name.Name!);

    static bool IsOurs(string name) => name == "Carillon" || name.StartsWith("Carillon.", StringComparison.Ordinal);

    static bool IsAspNet(string name) => name.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal);
}
