using System.Net;
using System.Net.Sockets;
using Carillon.Access.Tokens;
using Carillon.Hosting;
using Carillon.Server.Configuration;
using Microsoft.AspNetCore.Http;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;

namespace Carillon.Server.CommandLine;

/// <summary>Says whether a server could start here and would be of use, a line for each thing, and how to mend what is wrong.</summary>
static class Check
{
    public static async Task<int> RunAsync(Shell shell, string? file, string? urls, CancellationToken ct)
    {
        var settings = Settings.Read(shell, file, urls);
        List<(string Thing, string? Wrong)> found =
        [
            .. settings.Problems.Count == 0
                ? [("configuration", null)] : settings.Problems.Select(problem => ("configuration", (string?)problem)),
            // Where the setting is wrong there is no file to look at, and another one must not be called fine.
            .. settings.HasDatabase ? [("database", Database(settings.DatabaseFile, settings.Carillon.Changes.Tables)?.Sentence)]
                : Array.Empty<(string, string?)>(),
            ("tokens", await TokensAsync(settings, ct)),
            .. settings.Urls.Select(url => ($"address {url}", Address(url))),
        ];
        foreach (var (thing, wrong) in found) await shell.Out.WriteLineAsync(wrong is null ? $"ok     {thing}"
            : $"wrong  {thing}: {wrong}");
        return found.All(line => line.Wrong is null) ? ExitCode.Done : ExitCode.Failed;
    }

    /// <summary>A problem of a database, and how to fix it.</summary>
    /// <param name="Sentence">For a person.</param>
    /// <param name="Passes">Whether it may pass by itself, so that a server starts and waits for it.</param>
    internal sealed record DatabaseProblem(string Sentence, bool Passes = false);

    /// <summary>
    /// Finds problems of the database and its live tables; null if there are none. It writes nothing and creates no file.
    /// </summary>
    internal static DatabaseProblem? Database(string file, IEnumerable<string> liveTables)
    {
        SQLitePCL.Batteries_V2.Init();
        if (Directory.Exists(file)) return new($"{file} is a folder. Name a file in {Settings.Prefix}Database.");
        if (!File.Exists(file)) return FolderOf(file) is { } missing ? new(missing) : null;
        try
        {
            var how = new SqliteConnectionStringBuilder { DataSource = file, Mode = SqliteOpenMode.ReadWrite, Pooling = false,
                DefaultTimeout = 2 };
            using var connection = new SqliteConnection(how.ConnectionString);
            connection.Open();
            // Takes the lock that a writer needs, and writes nothing. A server that is writing just now gives it back in time.
            using var transaction = connection.BeginTransaction(deferred: false);
            using var command = connection.CreateCommand();
            (command.Transaction, command.CommandText) = (transaction, "SELECT count(*) FROM sqlite_master");
            command.ExecuteScalar();
            return liveTables.Select(table => LiveTable(connection, transaction, table)).FirstOrDefault(problem => problem is not null);
        }
        catch (SqliteException ex)
        {
            return ProblemOf(file, ex);
        }
    }

    // A problem that fails the start: SQLite cannot compile statements on the table, as the triggers need it, because only the application
    // knows its
    // functions and collations.
    static DatabaseProblem? LiveTable(SqliteConnection connection, SqliteTransaction transaction, string table)
    {
        var name = $"\"{table.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText =
            "SELECT group_concat('a.\"' || replace(name, '\"', '\"\"') || '\" IS b.\"' || replace(name, '\"', '\"\"') || '\"', ' AND ') "
            + "FROM pragma_table_info(@table)";
        command.Parameters.AddWithValue("@table", table);
        if (command.ExecuteScalar() is not string comparison) return null;      // it may be made later
        try
        {
            foreach (var statement in new[] { $"INSERT INTO {name} DEFAULT VALUES", $"DELETE FROM {name}",
                $"SELECT 1 FROM {name} AS a, {name} AS b WHERE {comparison}" })
            {
                command.CommandText = "EXPLAIN " + statement;
                command.ExecuteNonQuery();
            }
            return null;
        }
        catch (SqliteException ex) when (ex.SqliteErrorCode == 1)
        {
            return new($"the table {table} cannot be live: {ex.Message}. Leave it out of {Settings.Prefix}Changes__Tables, or use only "
                + "what SQLite knows by itself in it.");
        }
    }

    // "Malformed" is what SQLite calls a damaged file and a schema that it cannot read alike (code 11); only the message tells which.
    static DatabaseProblem ProblemOf(string file, SqliteException ex) => ex.SqliteErrorCode switch
    {
        5 or 6 => new($"another program holds the lock of {file}. A server starts and waits for it.", Passes: true),
        8 => new($"{file} cannot be written. Let this user write the file and its folder."),
        10 or 13 => new($"{file} cannot be used: {ex.Message}. Look at the disk.", Passes: true),
        11 when IsNewerSchema(ex.Message) => new(
            $"the schema of {file} uses something that SQLite {SQLitePCL.raw.sqlite3_libversion().utf8_to_string()} in this program does "
                + $"not know. The file is sound; keep it as it is. {ex.Message}"),
        11 => new($"{file} is damaged: {ex.Message}. Stop every program that uses it, copy it with its -wal and -shm files, and let "
            + $"`sqlite3 {file} .recover` read the copy."),
        14 => new($"{file} cannot be opened. Let this user read and write the file and its folder."),
        26 => new($"{file} is not an SQLite database, or it is encrypted. Name another file in {Settings.Prefix}Database."),
        _ => new($"{file} cannot be used: {ex.Message}"),
    };

    // "malformed database schema (x) - invalid rootpage" is damage; only text that cannot be parsed comes from a newer SQLite.
    static bool IsNewerSchema(string message) => message.Contains("malformed database schema", StringComparison.Ordinal)
        && (message.Contains("syntax error", StringComparison.Ordinal) || message.Contains("unrecognized token", StringComparison.Ordinal)
            || message.Contains("unknown table option", StringComparison.Ordinal));

    static string? FolderOf(string file)
    {
        var folder = Path.GetDirectoryName(file)!;
        if (!Directory.Exists(folder)) return $"there is no folder {folder}. Make it, or name another file in {Settings.Prefix}Database.";
        try
        {
            using var probe = new FileStream(Path.Combine(folder, Path.GetRandomFileName()), FileMode.CreateNew, FileAccess.Write,
                FileShare.None, 1, FileOptions.DeleteOnClose);
            return null;
        }
        catch (Exception ex) when (ex is IOException or UnauthorizedAccessException)
        {
            return $"{folder} cannot be written. Let this user write there, or name another file in {Settings.Prefix}Database.";
        }
    }

    static async Task<string?> TokensAsync(Settings settings, CancellationToken ct)
    {
        var options = new CarillonOptions();
        settings.Apply(options);
        var access = options.Access;
        if (!access.HasTokenKeys)
            return options.AllowAnonymous
                ? null
                : $"there is no key to check them with, so nobody can connect. Set {Settings.Prefix}Access__SigningKey or "
                    + $"{Settings.Prefix}Access__Jwks.";
        if (string.IsNullOrEmpty(access.Jwks)) return null;
        using var keys = new IssuerKeys(access, TimeProvider.System, NullLogger.Instance);
        try
        {
            var set = await keys.ReadAsync(ct);
            return set.Keys.Count > 0
                ? null
                : $"no key in {access.Jwks} can check a token ({set.LeftOut} left out): RSA of 2,048 bits or more and P-256 can, if their "
                    + "use is to sign.";
        }
        catch (IOException ex)
        {
            return $"the keys in {access.Jwks} cannot be read. {ex.Message} Mend {Settings.Prefix}Access__Jwks, or what it names.";
        }
    }

    static string? Address(string url)
    {
        BindingAddress address;
        try
        {
            address = BindingAddress.Parse(url);
        }
        catch (FormatException)
        {
            return null;   // reported with the configuration
        }
        if (address.IsUnixPipe || address.Port == 0) return null;
        try
        {
            // As Kestrel takes them: what is no address of a machine is every one of this.
            var host = IPAddress.TryParse(address.Host.Trim('[', ']'), out var ip) ? ip : address.Host == "localhost"
                ? IPAddress.Loopback : IPAddress.IPv6Any;
            using var socket = new Socket(host.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            if (host.Equals(IPAddress.IPv6Any)) socket.DualMode = true;
            socket.Bind(new IPEndPoint(host, address.Port));
            socket.Listen();
            return null;
        }
        catch (SocketException ex)
        {
            return ex.SocketErrorCode switch
            {
                SocketError.AddressAlreadyInUse =>
                    "another program listens there, perhaps a server that runs already. End it, or set ASPNETCORE_URLS to another address.",
                SocketError.AccessDenied => "this user may not listen there. Take a port of 1024 or more in ASPNETCORE_URLS.",
                SocketError.AddressNotAvailable =>
                    "this machine has no such address. Set ASPNETCORE_URLS to one that it has, or to http://0.0.0.0:8080.",
                _ => $"it cannot be listened on: {ex.Message}",
            };
        }
    }
}
