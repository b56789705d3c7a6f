using System.Runtime.CompilerServices;

namespace Carillon.House.Tests;

/// <summary>The folder of the repository that these tests were compiled from.</summary>
static class Repository
{
    public static string Root { get; } = Path.GetFullPath(Path.Combine(Here(), "..", ".."));

    public static string Folder(string path) => Path.Combine(Root, path);

    public static IEnumerable<string> Sources(string folder) => Directory
        .EnumerateFiles(Folder(folder), "*.cs", SearchOption.AllDirectories)
        .Where(file => !file.Contains($"{Path.DirectorySeparatorChar}obj{Path.DirectorySeparatorChar}", StringComparison.Ordinal));

    // With deterministic builds the compiler maps paths; then the folder is found from the program's own.
    static string Here([CallerFilePath] string file = "")
    {
        if (File.Exists(file)) return Path.GetDirectoryName(file)!;
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder!.FullName, "Carillon.House.Tests.csproj"))) folder = folder.Parent;
        return folder.FullName;
    }
}
