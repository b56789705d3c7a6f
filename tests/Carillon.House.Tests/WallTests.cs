using System.Reflection;
using System.Text.RegularExpressions;
using Carillon.Channels;
using Carillon.SocketIO;

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
    public void SocketIO_knows_nothing_of_the_product() => Assert.DoesNotContain(References(SocketIO), name => name == "Carillon");

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

    [Fact]
    public void Packets_and_Fanout_know_no_ASP_NET() =>
        AssertNone(["src/Carillon.SocketIO/Packets", "src/Carillon.SocketIO/Fanout"], "Microsoft.AspNetCore");

    [Fact]
    public void SocketIO_speaks_no_word_of_the_product() =>
        AssertNone(["src/Carillon.SocketIO"], @"(?i)\b(ventes?|magasin|notifications?|suggestions?|carillon_\w+)\b");

    [Fact]
    public void The_spine_looks_down_only()
    {
        AssertNone(["src/Carillon/Access"], @"Carillon\.(Live|Changes)\b");   // who is known and what was revoked lies in tables
        AssertNone(["src/Carillon/Storage"], @"using Carillon\.(Live|Access|Changes)\b");
        AssertNone(["src/Carillon/Changes"], @"Carillon\.(Live|Access|SocketIO)\b");
    }

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
