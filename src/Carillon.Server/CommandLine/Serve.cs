using System.Data.Common;
using System.Net.Sockets;
using System.Security.Cryptography;
using Carillon.Access;
using Carillon.Server.Configuration;
using Carillon.Storage;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;

namespace Carillon.Server.CommandLine;

/// <summary>Serves, and says what whoever started it has to know.</summary>
static partial class Serve
{
    public static async Task<int> RunAsync(Shell shell, string? file, string? urls, CancellationToken ct)
    {
        var settings = Settings.Read(shell, file, urls);
        if (settings.Problems.Count > 0) return await RefuseAsync(shell, settings.Problems);
        if (Check.Database(settings.DatabaseFile, settings.Carillon.Changes.Tables) is { Passes: false } wrong)
        {
            await shell.Error.WriteLineAsync($"Carillon cannot start: {wrong.Sentence}");
            return ExitCode.Failed;
        }

        WebApplication app;
        try
        {
            app = Host.Create(settings);
        }
        catch (InvalidOperationException ex)
        {
            return await RefuseAsync(shell, [ex.Message.Replace("LimitOptions.", Settings.Prefix + "Limits__", StringComparison.Ordinal)]);
        }

        await using (app)
        {
            foreach (var warning in settings.Warnings) LogConfiguration(app.Logger, warning);
            var hostLog = app.Services.GetRequiredService<HostLog>();
            try
            {
                await app.StartAsync(ct);
                hostLog.Started();
            }
            catch (IOException ex) when (ex.InnerException is AddressInUseException)
            {
                hostLog.Failed();
                await shell.Error.WriteLineAsync(
                    $"Carillon cannot start: {ex.Message} Choose another address with --urls, or stop the program that uses this one.");
                return ExitCode.Failed;
            }
            catch (Exception ex) when (
                ex is IOException or SocketException or DbException or UnauthorizedAccessException
                    or InvalidOperationException or CryptographicException)
            {
                hostLog.Failed();
                await shell.Error.WriteLineAsync($"Carillon cannot start: {ex.Message}\n`check` says what is missing, and how to mend it.");
                return ExitCode.Failed;
            }
            var addresses = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses;
            await shell.Out.WriteAsync(Greeting(settings, addresses, app.Services.GetRequiredService<StorageGate>()));
            await shell.Out.FlushAsync(ct);
            await app.WaitForShutdownAsync(ct);
        }
        return ExitCode.Done;
    }

    static async Task<int> RefuseAsync(Shell shell, IReadOnlyList<string> problems)
    {
        await shell.Error.WriteLineAsync("Carillon cannot start with this configuration:");
        foreach (var problem in problems) await shell.Error.WriteLineAsync($"  - {problem}");
        return ExitCode.Misconfigured;
    }

    /// <summary>Where it listens, what it works on, and what to do next.</summary>
    static string Greeting(Settings settings, IEnumerable<string> addresses, StorageGate gate)
    {
        var access = settings.Carillon.Access;
        List<string> lines = ["", gate.IsOpen ? $"  Carillon {Description.Version} is ready."
            : $"  Carillon {Description.Version} listens, and serves clients as soon as it can: {gate.WaitsFor}"];
        lines.AddRange(addresses.Select(address => $"    Listening on:   {Readable(address)}"));
        lines.Add($"    Database:       {settings.DatabaseFile}");
        if (settings.File is not null) lines.Add($"    Configuration:  {settings.File}");
        lines.Add("");
        if (settings.Carillon.AllowAnonymous) lines.Add("  Clients may connect without a token (CARILLON__AllowAnonymous).");
        else if (!access.HasTokenKeys)
            lines.AddRange(["  WARNING: nobody can connect, because there is no key to check tokens with. Stop it, set one, and start it "
                + "again:",
                $"    export {Settings.Prefix}Access__SigningKey=\"$(openssl rand -base64 48)\"",
                $"  or name the keys of whoever signs your tokens: {Settings.Prefix}Access__Jwks, a file or an address."]);
        if (settings.KeyFile is { } keys && !File.Exists(keys))
            lines.Add($"  WARNING: {keys} is not there, which {Settings.Prefix}Access__Jwks names. It is read as soon as it is.");
        if (!string.IsNullOrEmpty(access.SigningKey))
            lines.AddRange(["  A client connects with a token. This makes one to try it out with:", $"    {Itself} token --sub alice"]);
        if (access is { UnknownUsers: UnknownUsers.Refuse, ApiKeys.Count: > 0 })
            lines.AddRange(["  Its user has to be known. This enters one:",
                $"    curl -X PUT {LocalOf(addresses.First())}/api/users/alice -H \"Authorization: ApiKey "
                    + $"${Settings.Prefix}Access__ApiKeys__0\" -H \"Content-Type: application/json\" -d '{{\"name\":\"Alice\"}}'"]);
        if (access.ApiKeys.Count == 0)
            lines.AddRange(["  Back ends need an API key, and none is set:",
                $"    export {Settings.Prefix}Access__ApiKeys__0=\"$(openssl rand -base64 24)\""]);
        lines.AddRange(["  Ctrl+C stops it.", "", ""]);
        return string.Join(Environment.NewLine, lines);
    }

    // In a clone the command is the one of the README.
    static string Itself => AppContext.BaseDirectory.Replace('\\', '/').Contains("/Carillon.Server/bin/", StringComparison.Ordinal)
        ? "dotnet run --project src/Carillon.Server --"
        : "Carillon.Server";

    /// <summary>Where somebody on this machine finds what listens at an address; the address itself where it is none.</summary>
    internal static string LocalOf(string address)
    {
        try
        {
            return BindingAddress.Parse(address) is { Host: "0.0.0.0" or "[::]" or "*" or "+" } every
                ? $"{every.Scheme}://localhost:{every.Port}" : address;
        }
        catch (FormatException)
        {
            return address;
        }
    }

    static string Readable(string address) => BindingAddress.Parse(address) is { Host: "0.0.0.0" or "[::]" or "*" or "+" } every
        ? $"{every.Scheme}://localhost:{every.Port}, and port {every.Port} of every address of this machine"
        : address;

    [LoggerMessage(Level = LogLevel.Warning, Message = "Configuration: {Warning}")]
    static partial void LogConfiguration(ILogger logger, string warning);
}
