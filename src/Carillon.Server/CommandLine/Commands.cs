using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using Carillon.Server.Configuration;

namespace Carillon.Server.CommandLine;

/// <summary>The command line: what can be asked for, and by which words.</summary>
static class Commands
{
    public static async Task<int> RunAsync(string[] args, Shell shell, CancellationToken ct)
    {
        var parsed = Root(shell).Parse(args);
        if (parsed.Action is ParseErrorAction)
        {
            foreach (var error in parsed.Errors) await shell.Error.WriteLineAsync(error.Message);
            await shell.Error.WriteLineAsync("--help lists the commands and options.");
            return ExitCode.Misconfigured;
        }

        // Signals are the server's own business; the other commands may be ended at any time.
        return await parsed.InvokeAsync(
            new InvocationConfiguration { Output = shell.Out, Error = shell.Error, EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null }, ct);
    }

    static RootCommand Root(Shell shell)
    {
        var config = new Option<string>(
            "--config") { Description = "The file with the configuration, instead of carillon.json.", HelpName = "path", Recursive = true };
        var root = new RootCommand(
            "Carillon makes applications live: channels and changes of a database, over Socket.IO. Without a command it serves.");
        root.Options.OfType<VersionOption>().Single().Action = new VersionAction(shell.Out);
        root.Options.Add(config);

        var urls = new Option<string>("--urls")
        {
            Description = $"Where to listen, with semicolons between several addresses. ASPNETCORE_URLS, or {Settings.DefaultUrls}.",
            HelpName = "addresses",
        };
        Command serve = new("serve", "Runs the server until it is stopped.") { urls };
        root.Options.Add(urls);
        serve.SetAction((result, ct) => Serve.RunAsync(shell, result.GetValue(config), result.GetValue(urls), ct));
        root.SetAction((result, ct) => Serve.RunAsync(shell, result.GetValue(config), result.GetValue(urls), ct));
        root.Subcommands.Add(serve);
        root.Subcommands.Add(Token(shell, config));
        root.Subcommands.Add(Publish(shell, config));
        root.Subcommands.Add(Tail(shell, config));

        Command check = new(
            "check", "Says whether a server could start here: its configuration, its database, its keys, its address.") { urls };
        check.SetAction((result, ct) => Check.RunAsync(shell, result.GetValue(config), result.GetValue(urls), ct));
        root.Subcommands.Add(check);
        return root;
    }

    static Command Token(Shell shell, Option<string> config)
    {
        var sub = new Option<string>("--sub") { Description = "The user's id.", Required = true, HelpName = "id" };
        var name = new Option<string>("--name") { Description = "The user's name, for people." };
        var role = new Option<string[]>("--role") { Description = "A role of the user; may be said again.", HelpName = "role" };
        var region = new Option<string>("--region") { Description = "The user's region." };
        var interest = new Option<string[]>(
            "--interest") { Description = "An interest of the user; repeatable.", HelpName = "interest" };
        var expires = new Option<string>(
            "--expires") { Description = "For how long it is good: 30s, 15m, 1h, 7d.", DefaultValueFactory = _ => "1h", HelpName = "time" };
        var capability = new Option<string[]>("--capability")
        {
            Description = "What it allows by itself, such as \"orders:*=subscribe,publish\"; may be said again.",
            HelpName = "channel=actions",
        };
        Command command = new("token", "Prints a token for trying out, signed with CARILLON__Access__SigningKey.") { sub, name, role,
            region, interest, expires, capability };
        command.SetAction((result, _) => MakeToken.RunAsync(shell, result.GetValue(config), new MakeToken.Request(
            result.GetValue(sub)!, result.GetValue(name), result.GetValue(role) ?? [], result.GetValue(region), result.GetValue(interest)
                ?? [], result.GetValue(expires)!,
            result.GetValue(capability) ?? []), TimeProvider.System));
        return command;
    }

    static Command Publish(Shell shell, Option<string> config)
    {
        var channel = new Argument<string>("channel") { Description = "The channel, such as orders:7." };
        var data = new Argument<string>("json") { Description = "The payload, as JSON." };
        var @event = new Option<string>("--event") { Description =
            "The name under which clients receive it, where the channel's own is not meant.", HelpName = "name" };
        var (url, key) = (Url(shell),
            new Option<string>("--key") { Description = "An API key; CARILLON_KEY, or the first of the configuration.", HelpName = "key" });
        Command command = new("publish", "Publishes on a channel of a running server.") { channel, data, @event, url, key };
        command.SetAction((result, ct) => CommandLine.Publish.RunAsync(shell, result.GetValue(config), new CommandLine.Publish.Request(
            result.GetValue(channel)!, result.GetValue(data)!, result.GetValue(@event), result.GetValue(url)!, result.GetValue(key)), ct));
        return command;
    }

    static Command Tail(Shell shell, Option<string> config)
    {
        var channel = new Argument<string>("channel") { Description = "The channel, such as changes:orders." };
        var since = new Option<string>(
            "--since") { Description = "Begins behind this position, if the server still knows it.", HelpName = "epoch:offset" };
        var token = new Option<string>("--token") { Description =
            "The token to connect with; without it one is made, where a signing key is configured.", HelpName = "token" };
        var sub = new Option<string>("--sub") { Description = "For whom the token is made.", DefaultValueFactory = _ =>
            "carillon-tail", HelpName = "id" };
        var url = Url(shell);
        Command command = new(
            "tail", "Prints what is published on a channel of a running server, a line of JSON each, until it is stopped.") { channel,
            since, url, token, sub };
        command.SetAction((result, ct) => CommandLine.Tail.RunAsync(shell, result.GetValue(config), new CommandLine.Tail.Request(
            result.GetValue(channel)!, result.GetValue(since), result.GetValue(url)!, result.GetValue(token), result.GetValue(sub)!),
                TimeProvider.System, ct));
        return command;
    }

    static Option<string> Url(Shell shell) => new("--url")
    {
        Description = "Where the server is; the first of ASPNETCORE_URLS, or port 8080 of this machine.",
        DefaultValueFactory = _ =>
            Serve.LocalOf(shell.Variable("ASPNETCORE_URLS")?.Split(
            ';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).FirstOrDefault() ?? Settings.DefaultUrls),
        HelpName = "address",
    };

    sealed class VersionAction(TextWriter output) : SynchronousCommandLineAction
    {
        public override int Invoke(ParseResult parseResult)
        {
            output.WriteLine(Description.Version);
            return ExitCode.Done;
        }
    }
}
