using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;

namespace Carillon.Server.Tests;

/// <summary>The program as a process that may open few files: connections must not take those that it needs to live.</summary>
public sealed class FileLimitTests : IDisposable
{
    readonly Terminal _terminal = new();

    public void Dispose() => _terminal.Dispose();

    [Theory]
    [InlineData(420)]
    [InlineData(1024)]
    public async Task With_few_files_it_refuses_newcomers_serves_those_it_has_and_lives(int files)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The limit of files is read on Linux.");
        using var process = Start(files);
        var idle = new List<TcpClient>();
        try
        {
            var url = await ListeningAsync(process);
            using var http = new HttpClient { BaseAddress = new Uri(url) };
            Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("/health/ready")).StatusCode);
            using var socket = await JoinAsync(url);

            // Idle kept-alive connections, from many addresses: one address would only have its share.
            var refused = 0;
            for (var i = 0; i < files + 300; i++)
            {
                var (client, served) = await VisitAsync(new Uri(url), $"127.0.{i % 8 + 1}.1");
                idle.Add(client);
                if (!served) refused++;
            }
            Assert.InRange(refused, 300, files + 299);

            // Those that are there are served, with everything that takes files: the database, an answer over the kept connection,
            // libraries that load late.
            Assert.False(process.HasExited);
            Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("/health/ready")).StatusCode);
            Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("/openapi/v1.json")).StatusCode);
            Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("/metrics")).StatusCode);
            Assert.Equal(HttpStatusCode.OK, (await SendKeyedAsync(http)).StatusCode);
            await AskAsync(socket);

            // Newcomers come in as soon as others have left.
            foreach (var client in idle) client.Dispose();
            using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            while (true)
            {
                var (client, served) = await VisitAsync(new Uri(url), "127.0.0.1");
                client.Dispose();
                if (served) break;
                await Task.Delay(20, deadline.Token);
            }
            using (await JoinAsync(url)) { }
            Assert.False(process.HasExited);
        }
        finally
        {
            foreach (var client in idle) client.Dispose();
            process.Kill();
            await process.WaitForExitAsync();
        }
    }

    static Task<HttpResponseMessage> SendKeyedAsync(HttpClient http)
    {
        var request = new HttpRequestMessage(HttpMethod.Put, "/api/users/alice") { Content = new StringContent("{\"name\":\"Alice\"}", Encoding.UTF8, "application/json") };
        request.Headers.TryAddWithoutValidation("Authorization", "ApiKey hunter2");
        return http.SendAsync(request);
    }

    Process Start(int files)
    {
        var start = new ProcessStartInfo("/bin/sh")
        {
            ArgumentList = { "-c", $"ulimit -n {files}; exec dotnet '{Path.Combine(AppContext.BaseDirectory, "Carillon.Server.dll")}' --urls http://127.0.0.1:0" },
            WorkingDirectory = _terminal.Folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["CARILLON__AllowAnonymous"] = "true", ["CARILLON__Access__ApiKeys__0"] = "hunter2" },
        };
        return Process.Start(start)!;
    }

    // Where it listens. All that it says is read: a full pipe would stop it.
    static async Task<string> ListeningAsync(Process process)
    {
        var listening = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        var errors = new StringBuilder();
        process.OutputDataReceived += (_, line) =>
        {
            if (line.Data?.Contains("Listening on:", StringComparison.Ordinal) == true) listening.TrySetResult(line.Data.Split(' ')[^1]);
            if (line.Data is null) listening.TrySetException(new InvalidOperationException($"It did not start: {errors}"));
        };
        process.ErrorDataReceived += (_, line) => errors.AppendLine(line.Data);
        process.BeginErrorReadLine();
        process.BeginOutputReadLine();
        return await listening.Task.WaitAsync(TimeSpan.FromSeconds(30));
    }

    static async Task<ClientWebSocket> JoinAsync(string url)
    {
        var socket = new ClientWebSocket();
        await socket.ConnectAsync(new Uri($"ws{url["http".Length..]}/socket.io/?EIO=4&transport=websocket"), CancellationToken.None);
        await socket.SendAsync(Encoding.UTF8.GetBytes("40"), WebSocketMessageType.Text, true, CancellationToken.None);
        var buffer = new byte[4096];
        for (var text = ""; !text.StartsWith("40", StringComparison.Ordinal);)
            text = Encoding.UTF8.GetString(buffer, 0, (await socket.ReceiveAsync(buffer, CancellationToken.None)).Count);
        return socket;
    }

    // Emits ping and reads until the acknowledgement.
    static async Task AskAsync(ClientWebSocket socket)
    {
        await socket.SendAsync(Encoding.UTF8.GetBytes("421[\"ping\"]"), WebSocketMessageType.Text, true, CancellationToken.None);
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var buffer = new byte[4096];
        for (var text = ""; !text.StartsWith("431[", StringComparison.Ordinal);)
        {
            var received = await socket.ReceiveAsync(buffer, deadline.Token);
            Assert.NotEqual(WebSocketMessageType.Close, received.MessageType);
            text = Encoding.UTF8.GetString(buffer, 0, received.Count);
            if (text == "2") await socket.SendAsync("3"u8.ToArray(), WebSocketMessageType.Text, true, deadline.Token);
        }
    }

    static async Task<(TcpClient Client, bool Served)> VisitAsync(Uri url, string from)
    {
        var client = new TcpClient(new IPEndPoint(IPAddress.Parse(from), 0));
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        try
        {
            await client.ConnectAsync(url.Host, url.Port, deadline.Token);
            await client.GetStream().WriteAsync("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"u8.ToArray(), deadline.Token);
            var buffer = new byte[1000];
            var count = await client.GetStream().ReadAsync(buffer, deadline.Token);
            var answer = Encoding.ASCII.GetString(buffer, 0, count);
            Assert.True(count == 0 || answer.StartsWith("HTTP/1.1 200", StringComparison.Ordinal) || answer.StartsWith("HTTP/1.1 503", StringComparison.Ordinal)
                || answer.StartsWith("HTTP/1.1 429", StringComparison.Ordinal), answer);
            return (client, answer.StartsWith("HTTP/1.1 200", StringComparison.Ordinal));
        }
        catch (Exception ex) when (ex is IOException or SocketException)
        {
            return (client, false);      // closed as it was accepted
        }
    }
}
