using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;

namespace Carillon.Tests.Access;

/// <summary>An address that answers with what a test says, one request a connection, and counts how often it was asked.</summary>
sealed class KeyServer : IDisposable
{
    readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    readonly Channel<string> _asked = Channel.CreateUnbounded<string>();
    readonly Task _serving;
    int _requests;

    public KeyServer()
    {
        _listener.Start();
        _serving = ServeAsync();
    }

    public string Address => $"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}/keys";

    public string Body { get; set; } = "";

    public string Status { get; set; } = "200 OK";

    public string Header { get; set; } = "";

    /// <summary>Whether requests are taken and never answered.</summary>
    public bool IsSilent { get; set; }

    public int Requests => Volatile.Read(ref _requests);

    /// <summary>Waits for the next request; its first line.</summary>
    public async Task<string> AskedAsync() => await _asked.Reader.ReadAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(10));

    async Task ServeAsync()
    {
        List<TcpClient> held = [];
        try
        {
            while (true)
            {
                var client = await _listener.AcceptTcpClientAsync();
                held.Add(client);
                var request = await new StreamReader(client.GetStream()).ReadLineAsync();
                Interlocked.Increment(ref _requests);
                _asked.Writer.TryWrite(request ?? "");
                if (IsSilent) continue;
                var body = Encoding.UTF8.GetBytes(Body);
                await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 {Status}\r\nContent-Length: {body.Length}\r\nConnection: close\r\n{Header}\r\n"));
                await client.GetStream().WriteAsync(body);
                client.Client.Shutdown(SocketShutdown.Send);
            }
        }
        catch (Exception ex) when (ex is SocketException or ObjectDisposedException or IOException)
        {
            // Closed, or the client went away.
        }
        finally
        {
            held.ForEach(client => client.Dispose());
        }
    }

    public void Dispose()
    {
        _listener.Dispose();
        _ = _serving;
    }
}
