namespace Magasin;

/// <summary>Where the shop is at home: the folder of its pages and, unless it is said otherwise, of its database.</summary>
internal static class ShopFolder
{
    /// <summary>
    /// The project's folder, from wherever it is started (dotnet run, the built program, a test); the program's own folder when it was
    /// published. Null leaves it to a --contentRoot that was given.
    /// </summary>
    public static string? Find(string[] args)
    {
        if (args.Any(arg => arg.TrimStart('-').StartsWith("contentRoot", StringComparison.OrdinalIgnoreCase))) return null;
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "Magasin.csproj"))) return folder.FullName;
        return AppContext.BaseDirectory;
    }
}
