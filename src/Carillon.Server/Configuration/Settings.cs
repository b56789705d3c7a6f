using Carillon.Hosting;
using Carillon.Hub;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Limits;
using Microsoft.AspNetCore.Http;

namespace Carillon.Server.Configuration;

/// <summary>
/// The configuration: the variables that begin with <c>CARILLON__</c>, and the same keys in a file. Variables override the file. Problems
/// are reported as sentences that never contain a secret.
/// </summary>
sealed class Settings
{
    public const string Prefix = "CARILLON__";
    public const string DefaultUrls = "http://0.0.0.0:8080";
    public const string FileName = "carillon.json";

    const string OpenTelemetryPrefix = "OTEL_";
    const string OtlpEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";

    readonly List<string> _problems = [];
    readonly List<string> _warnings = [];
    readonly Dictionary<string, string?> _values = new(StringComparer.OrdinalIgnoreCase);
    readonly Dictionary<string, string?> _ofTheHost = new(StringComparer.OrdinalIgnoreCase);
    readonly IConfigurationRoot _carillon;
    IReadOnlyList<IConfigurationSection> _areas;

    Settings(Shell shell, string? file, string? urls)
    {
        File = FindFile(shell, file);
        if (File is not null) ReadFile(File);
        foreach (var (name, value) in shell.Variables)
            if (name.StartsWith(Prefix, StringComparison.OrdinalIgnoreCase)) _values[PathOf(name)] = value;
            else if (name.StartsWith(OpenTelemetryPrefix, StringComparison.Ordinal)) _ofTheHost[name] = value;
        // An empty value is none: that is how compose files leave things out.
        foreach (var (path, _) in _values.Where(entry => string.IsNullOrEmpty(entry.Value)).ToList()) _values.Remove(path);

        ReadRenamed();
        KeepWhatIsKnown();
        _carillon = new ConfigurationBuilder().AddInMemoryCollection(_values.Where(entry => !IsOfAreas(entry.Key))).Build();
        _areas = [.. new ConfigurationBuilder().AddInMemoryCollection(_values.Where(entry => IsOfAreas(entry.Key))).Build()
            .GetSection("Areas").GetChildren()];
        Urls = (urls ?? FindUrls(shell)).Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        CheckAreas();
        Carillon = new CarillonOptions();
        Bind(Carillon);
        DatabaseFile = CheckDatabase(shell.Folder);
        KeyFile = string.IsNullOrEmpty(Carillon.Access.Jwks) || Carillon.Access.JwksAddress is not null
            ? null : Path.GetFullPath(Carillon.Access.Jwks, shell.Folder);
        CheckTheRest();
    }

    /// <summary>Reads the configuration.</summary>
    /// <param name="shell">Where the variables are, and the folder.</param>
    /// <param name="file">The file's path; where it is left out, <c>carillon.json</c> in the working directory or beside the program, if
    /// there is one.</param>
    /// <param name="urls">Where to listen, if the command line says so.</param>
    public static Settings Read(Shell shell, string? file = null, string? urls = null) => new(shell, file, urls);

    /// <summary>The file that was read; null where there is none.</summary>
    public string? File { get; }

    /// <summary>The problems, one sentence each; empty if there are none.</summary>
    public IReadOnlyList<string> Problems => _problems;

    /// <summary>Warnings about settings that still work and should be changed, one sentence each.</summary>
    public IReadOnlyList<string> Warnings => _warnings;

    /// <summary>The settings of Carillon; those that were wrong have their defaults.</summary>
    public CarillonOptions Carillon { get; }

    /// <summary>Where to listen.</summary>
    public IReadOnlyList<string> Urls { get; }

    /// <summary>The path of the database's file.</summary>
    public string DatabaseFile { get; }

    /// <summary>Whether the configuration names a database that can be used; else the path is the default one.</summary>
    public bool HasDatabase { get; private set; } = true;

    /// <summary>The path of the file with the keys for tokens; null where there is none.</summary>
    public string? KeyFile { get; }

    /// <summary>Whether metrics and traces are exported to an OTLP endpoint.</summary>
    public bool HasOtlpEndpoint => !string.IsNullOrEmpty(_ofTheHost.GetValueOrDefault(OtlpEndpoint));

    /// <summary>Whether the server has a page on which people read and try the HTTP API.</summary>
    public bool HasApiPage => _carillon.GetValue<bool>("ApiPage");

    /// <summary>The settings of the file for ASP.NET Core: logging, certificates, host names. And the settings of OpenTelemetry.</summary>
    public IReadOnlyDictionary<string, string?> OfTheHost => _ofTheHost;

    /// <summary>The web origins that may connect.</summary>
    public IReadOnlyList<string> AllowedOrigins =>
    [
        .. _carillon.GetSection("AllowedOrigins").GetChildren().Select(child => child.Value!)
            .Select(origin => origin.EndsWith("://", StringComparison.Ordinal) ? origin : origin.TrimEnd('/')),
    ];

    /// <summary>How variables are written.</summary>
    public static string VariableOf(string path) => Prefix + path.Replace(":", "__", StringComparison.Ordinal);

    public void Apply(CarillonOptions options)
    {
        Bind(options);
        options.Database = $"sqlite:{DatabaseFile}";
        if (KeyFile is not null) options.Access.Jwks = KeyFile;
    }

    public void Apply(EngineOptions engine)
    {
        foreach (var origin in AllowedOrigins) engine.AllowedOrigins.Add(origin);
        _carillon.GetSection("Limits").Bind(engine.Limits);
    }

    void Bind(CarillonOptions options)
    {
        // Those that are named are meant instead of those that come with it.
        if (_carillon.GetSection("Access:AdminRoles").Exists()) options.Access.AdminRoles.Clear();
        _carillon.Bind(options);
        foreach (var section in _areas)
        {
            // The settings of a built-in area are changed; another pattern is a new area.
            if (options.Areas.Find(section["Pattern"]!) is not { } area) options.Areas.Add(
                area = new Area(section["Pattern"]!, section["Event"]!));
            section.Bind(area);
        }
    }

    static bool IsOfAreas(string path) => path.StartsWith("Areas:", StringComparison.OrdinalIgnoreCase);

    void CheckAreas()
    {
        var known = new CarillonOptions().Areas;
        foreach (var section in _areas)
            if (section["Pattern"] is not { } pattern)
                _problems.Add($"{VariableOf(section.Path)}__Pattern is missing: the names of the area's channels, such as orders:{{id}}.");
            else if (known.Find(pattern) is null && section["Event"] is null)
                _problems.Add($"{VariableOf(section.Path)}__Event is missing: the name of the event under which clients receive what is "
                    + $"published to {pattern}.");
            else if (known.Find(pattern) is { } area && section["Event"] is { } name && name != area.Event)
                _problems.Add($"{VariableOf(section.Path)}__Event must be left out: what is published to {pattern} comes as {area.Event}.");
        if (_problems.Count > 0) _areas = [.. _areas.Where(section =>
            section["Pattern"] is { } pattern && (known.Find(pattern) is not null || section["Event"] is not null))];
    }

    static IEnumerable<KnownKey> KnownKeys() =>
        [.. KnownKey.Of(typeof(CarillonOptions), new CarillonOptions()),
            .. KnownKey.Of(typeof(LimitOptions), new LimitOptions(), "Limits:"),
            new("AllowedOrigins:#", typeof(string), null), new("ApiPage", typeof(bool), false), new("Redis", typeof(string), null)];

    // The same key may be written as a variable, with the prefix or without, or as a tree.
    static string PathOf(string name)
    {
        var path = name.Replace("__", ":", StringComparison.Ordinal);
        return path.StartsWith("CARILLON:", StringComparison.OrdinalIgnoreCase) ? path["CARILLON:".Length..] : path;
    }

    string FindUrls(Shell shell) =>
        shell.Variable("ASPNETCORE_URLS") ?? _ofTheHost.GetValueOrDefault("ASPNETCORE_URLS") ?? _ofTheHost.GetValueOrDefault("urls")
        ?? (shell.Variable("ASPNETCORE_HTTP_PORTS") is { } ports ? string.Join(';', ports.Split(';').Select(port => $"http://*:{port}"))
            : DefaultUrls);

    string? FindFile(Shell shell, string? given)
    {
        if (given is not null)
        {
            var path = Path.GetFullPath(given, shell.Folder);
            if (System.IO.File.Exists(path)) return path;
            _problems.Add($"There is no file {path}, which --config names.");
            return null;
        }
        return new[] { shell.Folder, AppContext.BaseDirectory }.Select(folder =>
            Path.Combine(folder, FileName)).FirstOrDefault(System.IO.File.Exists);
    }

    void ReadFile(string file)
    {
        try
        {
            var read = new ConfigurationBuilder().AddJsonStream(new MemoryStream(System.IO.File.ReadAllBytes(file))).Build();
            foreach (var (key, value) in read.AsEnumerable())
            {
                if (value is null) continue;
                var isOfTheHost = key.Split(':')[0].ToUpperInvariant()
                    is "LOGGING" or "KESTREL" or "ALLOWEDHOSTS" or "URLS" or "ASPNETCORE_URLS"
                    || key.StartsWith(OpenTelemetryPrefix, StringComparison.Ordinal);
                if (isOfTheHost) _ofTheHost[key] = value;
                else _values[PathOf(key)] = value;
            }
        }
        catch (Exception ex) when (ex is FormatException or InvalidDataException or System.Text.Json.JsonException)
        {
            var where = ex as System.Text.Json.JsonException ?? ex.InnerException as System.Text.Json.JsonException;
            _problems.Add($"{file} cannot be read as JSON{(where?.LineNumber is { } line ? $"; look at line {line + 1}" : "")}.");
        }
        catch (Exception ex) when (ex is IOException or UnauthorizedAccessException)
        {
            _problems.Add($"{file} cannot be read: {ex.Message}");
        }
    }

    // Where both names of a key are written, the new one counts.
    void ReadRenamed()
    {
        foreach (var (path, value) in _values.OrderBy(entry => entry.Key, StringComparer.Ordinal).ToList())
        {
            var today = RenamedKeys.Today(path);
            var (old, renamed) = (value, RenamedKeys.Today(today, value));
            if (today != path)
            {
                _warnings.Add($"{VariableOf(path)} is now called {VariableOf(today)}. The old name is still read, and will not be in the "
                    + "next version.");
                _values.Remove(path);
                _values.TryAdd(today, renamed);
            }
            else if (renamed != old)
            {
                _warnings.Add($"{VariableOf(path)} is \"{old}\": write \"{renamed}\". The old word is still read, and will not be in the "
                    + "next version.");
                _values[path] = renamed;
            }
        }
    }

    void KeepWhatIsKnown()
    {
        var known = KnownKeys().ToList();
        foreach (var (path, value) in _values.OrderBy(entry => entry.Key, StringComparer.Ordinal).ToList())
        {
            var problem = known.FirstOrDefault(key => key.Matches(path)) is { } key
                ? key.ProblemWith(value!) is { } wrong ? $"{VariableOf(path)} {wrong}" : null
                : $"{VariableOf(path)} is not a key that Carillon knows.{Suggestion(path, known)}";
            if (problem is null) continue;
            _problems.Add(problem);
            _values.Remove(path);
        }
    }

    static string Suggestion(string path, List<KnownKey> known)
    {
        var names = known.ConvertAll(key => VariableOf(key.Path.Replace("#", "0", StringComparison.Ordinal)));
        var elsewhere = names.Find(name =>
            name.EndsWith($"__{path.Replace(":", "__", StringComparison.Ordinal)}", StringComparison.OrdinalIgnoreCase));
        return (elsewhere ?? Nearest.To(VariableOf(path), names)) is { } meant
            ? $" Did you mean {meant}?" : " docs/server.md lists those that it knows.";
    }

    string CheckDatabase(string folder)
    {
        const string scheme = "sqlite:", key = Prefix + "Database";
        var written = Carillon.Database;
        if (written.StartsWith(scheme, StringComparison.OrdinalIgnoreCase)
            && written.Length > scheme.Length) return Path.GetFullPath(written[scheme.Length..], folder);
        var isPostgres = written.StartsWith("postgres://", StringComparison.OrdinalIgnoreCase)
            || written.StartsWith("postgresql://", StringComparison.OrdinalIgnoreCase);
        _problems.Add(isPostgres
            ? $"{key} names a PostgreSQL server, which this version does not serve yet. Use a file, such as {key}=sqlite:carillon.db, or "
                + "leave it out."
            : $"{key} must be sqlite: and the path of a file, such as {key}=sqlite:carillon.db.");
        Carillon.Database = new CarillonOptions().Database;
        HasDatabase = false;
        return Path.GetFullPath(Carillon.Database[scheme.Length..], folder);
    }

    void CheckTheRest()
    {
        if (_values.ContainsKey("Redis"))
            _problems.Add($"{Prefix}Redis names a Redis server, which this version does not use yet: it runs as one process. "
                + "Leave it out.");
        foreach (var url in Urls)
            if (!IsUrl(url)) _problems.Add(
                $"ASPNETCORE_URLS must be addresses such as {DefaultUrls}, with semicolons between them; \"{url}\" is none.");
        if (_ofTheHost.GetValueOrDefault(OtlpEndpoint) is { Length: > 0 } endpoint
            && !(Uri.TryCreate(endpoint, UriKind.Absolute, out var collector) && collector.Scheme is "http" or "https"))
            _problems.Add($"{OtlpEndpoint} must be an address such as http://collector:4317; it is \"{endpoint}\".");
        foreach (var origin in AllowedOrigins)
            if (!IsOrigin(origin))
                _problems.Add(origin == "null"
                    ? $"{Prefix}AllowedOrigins must not hold \"null\": a sandboxed frame of any page sends that origin."
                    : $"{Prefix}AllowedOrigins holds \"{origin}\", which is no web origin: that is a scheme, a host and a port, such as "
                        + "https://shop.example.");
        if (Carillon.Access.TokenProblem() is { } problem) _problems.Add($"{Prefix}Access__{problem}");
        else Try(Carillon.Validate);
    }

    void Try(Action validate)
    {
        try
        {
            validate();
        }
        catch (InvalidOperationException ex)
        {
            _problems.Add(ex.Message);
        }
    }

    static bool IsUrl(string url)
    {
        try
        {
            return BindingAddress.Parse(url) is { Scheme: "http" or "https", Port: <= ushort.MaxValue }
                && url.Contains("://", StringComparison.Ordinal);
        }
        catch (FormatException)
        {
            return false;
        }
    }

    // Shells of applications have schemes of their own: capacitor://localhost, tauri://localhost, app://. and, with nothing after it,
    // file://.
    static bool IsOrigin(string origin)
    {
        if (origin == "*") return true;
        if (Uri.TryCreate(origin, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https")
            return uri.GetLeftPart(UriPartial.Authority).Equals(origin, StringComparison.OrdinalIgnoreCase);
        return origin.IndexOf("://", StringComparison.Ordinal) is > 0 and var end && Uri.CheckSchemeName(origin[..end])
            && (end + 3 < origin.Length || origin == "file://")
            && origin[(end + 3)..].All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '-' or '_' or ':');
    }
}
