using System.Buffers;
using System.Buffers.Text;
using System.Text;
using System.Text.Unicode;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Carillon.SocketIO.Fuzz;

/// <summary>
/// Bodies of long-polling, through the server's own door. The answer is one of those we promise, the messages are those a plain reading finds, however the body comes, and what is
/// sent comes back by polls as it was.
/// </summary>
sealed class PayloadTarget : Target
{
    const int Max = 400;

    readonly EngineServer _server;
    readonly EngineEndpoint _endpoint;
    readonly List<string> _received = [];
    EngineSocket? _session;

    public PayloadTarget()
    {
        var options = new EngineOptions { MaxPayload = Max, CompressionThreshold = 0 };
        options.Limits.LimitAddresses = false;
        options.Limits.MemoryThreshold = null;
        _server = new EngineServer(options, session =>
        {
            _session = session;
            session.MessageReceived = message => _received.Add(message.IsBinary ? "binary " + Convert.ToHexString(message.Data) : "text " + message.Text);
        }, new StandingClock());
        _endpoint = new EngineEndpoint(_server);
    }

    public override string Name => "payloads";

    protected override byte[] Make(Random random)
    {
        List<string> packets = [];
        for (var count = random.Next(1, 8); count > 0; count--)
            packets.Add(Pick(random, "4hello", "4", "42[\"echo\",1]", "4h\u00e9\ud83d\ude00", "bAQID", "b", "bAQI=", "3", "6", "5", "0", "1", "2", "", "x", "b~~~", "bA", "4" + new string('x', random.Next(Max + 10))));
        var made = Encoding.UTF8.GetBytes(string.Join('\u001e', packets));
        return random.Next(2) == 0 ? made : Mutation.Of(made, random);
    }

    protected override bool Check(byte[] input, Random random)
    {
        var (status, messages, open) = Plain(input);
        for (var i = 0; i < 2; i++)
        {
            var answer = Request("GET", "", [], chunked: false);
            Require(answer.Status == 200 && answer.Body.StartsWith("0{", StringComparison.Ordinal), () => $"no session: {answer}");
            var session = _session!;
            _received.Clear();
            var sid = $"&sid={session.Id}";
            answer = Request("POST", sid, i == 0 ? [input] : Cut(input, random), chunked: i == 1);
            Require(answer.Status == status, () => $"answered {answer}, expected {status}");
            Require(_received.SequenceEqual(messages), () => $"received\n{string.Join('\n', _received)}\nexpected\n{string.Join('\n', messages)}");
            Require(session.IsOpen == open, open ? "the session has ended" : "the session goes on");
            if (open) Echo(session, sid, messages);
            session.Drop(DisconnectReason.ForcedClose);
            Require(_server.ConnectionCount == 0 && _server.Wheel.Count == 0, "something is left");
        }
        return status == 200;
    }

    // What was received goes out again, and polls bring it back.
    void Echo(EngineSocket session, string sid, List<string> messages)
    {
        foreach (var message in messages)
            if (message.StartsWith("text ", StringComparison.Ordinal)) session.Send(message[5..]);
            else session.Send(Convert.FromHexString(message[7..]));
        List<string> polled = [];
        while (polled.Count < messages.Count)
        {
            var packets = Request("GET", sid, [], chunked: false).Body.Split('\u001e');
            Require(packets.Length <= 16, "a payload of more than 16 packets");
            polled.AddRange(packets.Select(packet => packet[0] == 'b' ? "binary " + Convert.ToHexString(Convert.FromBase64String(packet[1..])) : "text " + packet[1..]));
        }
        Require(polled.SequenceEqual(messages), () => $"polled\n{string.Join('\n', polled)}");
    }

    (int Status, string Body) Request(string method, string sid, IEnumerable<byte[]> body, bool chunked)
    {
        var pieces = body.ToArray();
        var answer = new MemoryStream();
        var context = new DefaultHttpContext();
        context.Request.Method = method;
        context.Request.QueryString = new QueryString("?EIO=4&transport=polling" + sid);
        context.Request.Body = new Pieces(pieces);
        if (!chunked) context.Request.ContentLength = pieces.Sum(piece => piece.Length);
        context.Features.Set<IHttpResponseBodyFeature>(new StreamResponseBodyFeature(answer));
        var serving = _endpoint.HandleAsync(context);
        // Nothing here waits for anything that is not done at once, but for a goodbye that looks after its poll.
        Require(((IAsyncResult)serving).AsyncWaitHandle.WaitOne(TimeSpan.FromSeconds(20)), "no answer");
        serving.GetAwaiter().GetResult();
        return (context.Response.StatusCode, Encoding.UTF8.GetString(answer.ToArray()));
    }

    static (int Status, List<string> Messages, bool Open) Plain(byte[] input)
    {
        List<string> messages = [];
        if (input.Length > Max) return (413, messages, true);
        if (!Utf8.IsValid(input)) input = Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(input));
        foreach (var packet in Encoding.UTF8.GetString(input).Split('\u001e'))
        {
            switch (packet.Length == 0 ? ' ' : packet[0])
            {
                case '4':
                    messages.Add("text " + packet[1..]);
                    break;
                case 'b':
                    if (Decode(packet[1..]) is not { } bytes) return (400, messages, false);
                    messages.Add("binary " + Convert.ToHexString(bytes));
                    break;
                case '1':
                    return (200, messages, false);
                case '0' or '3' or '5' or '6':
                    break;
                default:
                    return (400, messages, false);
            }
        }
        return (200, messages, true);
    }

    static byte[]? Decode(string base64)
    {
        var bytes = new byte[base64.Length];
        return Base64.DecodeFromUtf8(Encoding.UTF8.GetBytes(base64), bytes, out _, out var written) == OperationStatus.Done ? bytes[..written] : null;
    }

    // Time stands still; who waits for some of it is woken at once.
    sealed class StandingClock : TimeProvider
    {
        public override long GetTimestamp() => 1;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            base.CreateTimer(callback, state, period == Timeout.InfiniteTimeSpan ? TimeSpan.Zero : Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    // A body that comes in pieces.
    sealed class Pieces(byte[][] pieces) : MemoryStream
    {
        int _next, _at;

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            while (_next < pieces.Length && _at == pieces[_next].Length) (_next, _at) = (_next + 1, 0);
            if (_next == pieces.Length) return new(0);
            var count = Math.Min(buffer.Length, pieces[_next].Length - _at);
            pieces[_next].AsMemory(_at, count).CopyTo(buffer);
            _at += count;
            return new(count);
        }
    }
}
