namespace Carillon.Server;

/// <summary>The environment of the program: the environment's variables, the working directory, and where it may write.</summary>
sealed record Shell(IReadOnlyDictionary<string, string> Variables, string Folder, TextWriter Out, TextWriter Error)
{
    public static Shell OfThisProcess() => new(
        Environment.GetEnvironmentVariables().Cast<System.Collections.DictionaryEntry>().ToDictionary(entry => (string)entry.Key, entry =>
            (string?)entry.Value ?? ""),
        Directory.GetCurrentDirectory(), Console.Out, Console.Error);

    /// <summary>A variable that is set and not empty.</summary>
    public string? Variable(string name) => Variables.TryGetValue(name, out var value) && value.Length > 0 ? value : null;
}

/// <summary>How the program ends.</summary>
static class ExitCode
{
    public const int Done = 0, Failed = 1, Misconfigured = 2;
}
