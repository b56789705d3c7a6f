using System.Net;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Carillon.SocketIO.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Carillon.SocketIO.Tests;

/// <summary>Behind TLS everything works as without, over HTTP/1.1 and inside HTTP/2, which browsers prefer there.</summary>
public class TlsTests
{
    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(1, true)]
    [InlineData(2, true)]
    public async Task A_client_talks_over_TLS(int http, bool direct)
    {
        using var certificate = SelfSigned();
        var builder = WebApplication.CreateBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            listen.Protocols = HttpProtocols.Http1AndHttp2;
            listen.UseHttps(certificate);
        }));
        if (direct) builder.WebHost.UseSocketIO();
        builder.Services.AddSocketIO();
        await using var app = builder.Build();
        app.Services.GetRequiredService<SocketServer>().Root.On("echo", e => e.Ack(e.Arguments));
        app.MapSocketIO();
        await app.StartAsync();
        var address = new Uri(app.Urls.First());

#pragma warning disable CA5359 // The certificate is made here, a moment ago.
        using var handler = new SocketsHttpHandler { SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true } };
#pragma warning restore CA5359
        using var invoker = new HttpMessageInvoker(handler);
        using var socket = new ClientWebSocket();
        socket.Options.HttpVersion = new Version(http, http == 1 ? 1 : 0);
        socket.Options.HttpVersionPolicy = HttpVersionPolicy.RequestVersionExact;
        await socket.ConnectAsync(new Uri($"wss://{address.Authority}/socket.io/?EIO=4&transport=websocket"), invoker, CancellationToken.None);
        await RunningServer.ReceiveAsync(socket);
        await RunningServer.SendAsync(socket, "40");
        Assert.StartsWith("40{\"sid\"", await RunningServer.ReceiveAsync(socket), StringComparison.Ordinal);
        var large = new string('x', 50_000);
        await RunningServer.SendAsync(socket, $"421[\"echo\",\"{large}\"]");
        Assert.Equal($"431[\"{large}\"]", await RunningServer.ReceiveAsync(socket));
        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, CancellationToken.None);

        using var client = new HttpClient(handler, disposeHandler: false) { DefaultRequestVersion = new Version(http, http == 1 ? 1 : 0), DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
        var polling = $"{address}socket.io/?EIO=4&transport=polling";
        var sid = (await client.GetStringAsync(polling)).Split('"')[3];
        using var join = await client.PostAsync($"{polling}&sid={sid}", new StringContent("40", Encoding.UTF8, "text/plain"));
        Assert.StartsWith("40{\"sid\"", await client.GetStringAsync($"{polling}&sid={sid}"), StringComparison.Ordinal);
        Assert.Equal(0, app.Services.GetRequiredService<SocketServer>().Engine.Addresses.Find("127.0.0.1")!.HalfOpen);
    }

    internal static X509Certificate2 SelfSigned()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        return request.CreateSelfSigned(TimeProvider.System.GetUtcNow().AddDays(-1), TimeProvider.System.GetUtcNow().AddDays(1));
    }
}
