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

    static readonly string[] BelowFeatures = ["Features", "ClientEvents", "Api", "Hub", "Access", "Audit", "Storage", "Diagnostics"];

    static readonly Dictionary<string, string[]> ProductFolders = new()
    {
        ["Votes"] = BelowFeatures,
        ["Resources"] = BelowFeatures,
        ["Presence"] = BelowFeatures,
        ["Notifications"] = BelowFeatures,
        ["Administration"] = BelowFeatures,
        ["Features"] = ["ClientEvents", "Api", "Hub", "Access", "Audit", "Storage", "Diagnostics"],
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

    // Found by what they implement, so that a new feature needs no line here but its walls.
    static readonly Type[] Features =
        [.. Product.GetTypes().Where(type => type.IsClass && type.GetInterface("Carillon.Features.IFeature") is not null)];

    [Fact]
    public void No_feature_knows_another_and_no_core_folder_knows_a_feature()
    {
        var folders = Features.Select(feature => FolderOf(feature, "Carillon")).ToHashSet();
        Assert.Superset(new HashSet<string?> { "Votes", "Resources", "Presence", "Notifications", "Administration" }, folders);
        Assert.Equal(Features.Length, folders.Count);       // a feature is a folder
        Assert.DoesNotContain(ProductFolders, folder => folder.Value.Any(folders.Contains));
    }

    [Fact]
    public void A_feature_is_its_folder_and_one_line_in_the_list_of_features()
    {
        var folders = Features.ToLookup(feature => FolderOf(feature, "Carillon"));
        var fromOutside = (
            from reference in TypeReferences.Between(Product)
            let target = FolderOf(reference.To, "Carillon")
            where folders.Contains(target) && FolderOf(reference.From, "Carillon") != target
            select reference).ToArray();
        // Settings are properties of the options, which the extensions hand to the feature. The list alone knows more of a feature.
        Assert.All(fromOutside, reference => Assert.True(reference.From.Name == "FeatureList"
            ? Features.Contains(reference.To)
            : reference.From.Name is "CarillonOptions" or "CarillonExtensions" && reference.To.Name.EndsWith("Options", StringComparison.Ordinal),
            $"{reference.From} -> {reference.To}"));
        var listed = fromOutside.Where(reference => reference.From.Name == "FeatureList").Select(reference => reference.To.Name);
        Assert.Equal(Features.Select(feature => feature.Name).Order(), listed.Order());
    }

    // Types do not show what a text knows.
    [Fact]
    public void No_core_folder_names_a_channel_or_an_event_of_a_feature() =>
        AssertNone([.. new[] { "Features", "ClientEvents", "Api", "Hub", "Hosting", "Access", "Audit" }.Select(folder => "src/Carillon/" + folder)],
            "\"[^\"]*\\b(((suggestions?|resources?|notifications?|unread)[:/\"])|presence:)");

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
