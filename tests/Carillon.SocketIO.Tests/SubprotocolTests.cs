using Carillon.SocketIO.Tests.Hostile;

namespace Carillon.SocketIO.Tests;

/// <summary>A requested subprotocol is answered as the reference server does: with the first of them.</summary>
public class SubprotocolTests
{
    [Theory]
    [InlineData("chat", "chat")]
    [InlineData("graphql-ws, chat", "graphql-ws")]
    [InlineData(" chat ,\tother", "chat")]
    [InlineData("v1.chat.example!#$", "v1.chat.example!#$")]
    public async Task The_first_is_chosen(string requested, string chosen)
    {
        foreach (var direct in new[] { false, true })
        {
            await using var server = await RunningServer.StartAsync(direct: direct);
            var answer = await AskAsync(server, $"Sec-WebSocket-Protocol: {requested}\r\n");
            Assert.Equal(101, answer.Status);
            Assert.Contains($"\r\nSec-WebSocket-Protocol: {chosen}\r\n", answer.Head, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("chat, chat")]
    [InlineData("chat,")]
    [InlineData(", chat")]
    [InlineData("cha t")]
    [InlineData("\"chat\"")]
    [InlineData("a@b")]
    public async Task What_is_no_list_of_names_is_refused(string requested)
    {
        foreach (var direct in new[] { false, true })
        {
            await using var server = await RunningServer.StartAsync(direct: direct);
            Assert.Equal(400, (await AskAsync(server, $"Sec-WebSocket-Protocol: {requested}\r\n")).Status);
        }
    }

    [Fact]
    public async Task Several_headers_are_one_list_and_none_is_answered_with_none()
    {
        foreach (var direct in new[] { false, true })
        {
            await using var server = await RunningServer.StartAsync(direct: direct);
            Assert.Contains("Sec-WebSocket-Protocol: one\r\n", (await AskAsync(server, "Sec-WebSocket-Protocol: one\r\nSec-WebSocket-Protocol: two\r\n")).Head, StringComparison.Ordinal);
            Assert.DoesNotContain("Sec-WebSocket-Protocol", (await AskAsync(server, "")).Head, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_client_that_insists_on_its_subprotocol_connects()
    {
        await using var server = await RunningServer.StartAsync(direct: true);
        using var client = await server.JoinAsync(options => options.AddSubProtocol("chat"));
        Assert.Equal("chat", client.SubProtocol);
    }

    static async Task<Wire.Answer> AskAsync(RunningServer server, string header)
    {
        using var wire = await Wire.ConnectAsync(server);
        await wire.SendAsync($"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n{Wire.Upgrade(server, header)}");
        return await wire.AnswerAsync();
    }
}
