using System.Text;
using System.Threading.Channels;
using Carillon.Server.CommandLine;

namespace Carillon.Server.Tests;

/// <summary>A terminal in a folder of its own, in which the program is run as somebody would run it.</summary>
sealed class Terminal : IDisposable
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("carillon-");
    readonly Dictionary<string, string> _variables = [];

    public Lines Out { get; } = new();

    public Lines Error { get; } = new();

    public string Folder => _folder.FullName;

    public Shell Shell => new(_variables, Folder, Out, Error);

    public string this[string variable] { set => _variables[variable] = value; }

    public Task<int> RunAsync(params string[] args) => RunAsync(CancellationToken.None, args);

    public Task<int> RunAsync(CancellationToken ct, params string[] args) => Commands.RunAsync(args, Shell, ct).WaitAsync(Patience);

    public string Path(string name) => System.IO.Path.Combine(Folder, name);

    public void Write(string name, string text) => File.WriteAllText(Path(name), text);

    public void Dispose() => _folder.Delete(recursive: true);

    /// <summary>What the program writes, as a whole and line by line.</summary>
    public sealed class Lines : TextWriter
    {
        readonly StringBuilder _all = new();
        readonly StringBuilder _line = new();
        readonly Channel<string> _lines = Channel.CreateUnbounded<string>();

        public override Encoding Encoding => Encoding.UTF8;

        public string All
        {
            get { lock (_all) return _all.ToString(); }
        }

        public override void Write(char value)
        {
            lock (_all)
            {
                _all.Append(value);
                if (value != '\n')
                {
                    _line.Append(value);
                    return;
                }
                _lines.Writer.TryWrite(_line.ToString().TrimEnd('\r'));
                _line.Clear();
            }
        }

        /// <summary>The next line.</summary>
        public async Task<string> NextAsync() => await _lines.Reader.ReadAsync().AsTask().WaitAsync(Patience);

        /// <summary>The next line that holds a text.</summary>
        public async Task<string> NextAsync(string part)
        {
            while (true)
                if (await NextAsync() is var line && line.Contains(part, StringComparison.Ordinal)) return line;
        }
    }
}

/// <summary>The program, serving on a free port.</summary>
sealed class RunningServer : IAsyncDisposable
{
    readonly CancellationTokenSource _stop = new();
    readonly Task<int> _running;
    readonly Terminal _terminal;

    RunningServer(Terminal terminal, Task<int> running, CancellationTokenSource stop) => (_terminal, _running, _stop) = (terminal, running, stop);

    public HttpClient Http { get; private init; } = null!;

    public string Url => Http.BaseAddress!.ToString().TrimEnd('/');

    public Terminal Terminal => _terminal;

    public static async Task<RunningServer> StartAsync(Terminal terminal, string url = "http://127.0.0.1:0")
    {
        if (!File.Exists(terminal.Path("carillon.json"))) terminal.Write("carillon.json", """{ "Logging": { "LogLevel": { "Default": "None", "Microsoft.AspNetCore": "None" } } }""");
        var stop = new CancellationTokenSource();
        var running = Commands.RunAsync(["--urls", url], terminal.Shell, stop.Token);
        var listening = terminal.Out.NextAsync("Listening on:");
        if (await Task.WhenAny(running, listening) == running) Assert.Fail($"It did not start: {terminal.Error.All}");
        var address = (await listening).Split(' ')[^1];
        return new RunningServer(terminal, running, stop) { Http = new HttpClient { BaseAddress = new Uri(address) } };
    }

    public async Task<int> StopAsync()
    {
        await _stop.CancelAsync();
        return await _running.WaitAsync(TimeSpan.FromSeconds(20));
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await StopAsync();
        _stop.Dispose();
    }
}
