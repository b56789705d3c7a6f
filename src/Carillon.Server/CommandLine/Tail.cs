using System.Buffers;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Carillon.Channels;
using Carillon.Server.Configuration;

namespace Carillon.Server.CommandLine;

/// <summary>
/// Prints what is published on a channel, and goes on where it was after a lost connection: a Socket.IO client that knows just enough for
/// that. Publications go to the output, all
/// about them go to the error output.
/// </summary>
sealed class Tail(Tail.Request request, Uri address, Func<string?> token, TimeProvider clock, TextWriter output, TextWriter notes)
{
    public sealed record Request(string Channel, string? Since, string Url, string? Token, string Subject);

    /// <summary>Why a connection is over for good.</summary>
    sealed class RefusedException(string message) : Exception(message);

    static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(500), LongestPause = TimeSpan.FromSeconds(30);

    const int MaxMessageBytes = 16 * 1024 * 1024;

    Position? _last;
    bool _joined;
    TimeSpan? _toldToWait;
    TimeSpan _patience = TimeSpan.FromSeconds(45);

    public static async Task<int> RunAsync(Shell shell, string? file, Request request, TimeProvider clock, CancellationToken ct)
    {
        var access = Settings.Read(shell, file).Carillon.Access;
        if (!TryAddress(request.Url, out var address) || !TryPosition(request.Since, out var since))
        {
            await shell.Error.WriteLineAsync(address is null
                ? $"--url must be an address such as http://127.0.0.1:8080; \"{request.Url}\" is none."
                : "--since must be a position as tail prints it: epoch:offset.");
            return ExitCode.Misconfigured;
        }

        // Created for each connection: tail may run for days.
        var me = new MakeToken.Request(request.Subject, null, [], null, [], "1h", [$"{request.Channel}=subscribe"]);
        Func<string?> token = () => request.Token ?? (MakeToken.Problem(access, me) is null ? MakeToken.Sign(access, me, clock) : null);
        return await new Tail(request, address, token, clock, shell.Out, shell.Error) { _last = since }.FollowAsync(ct);
    }

    async Task<int> FollowAsync(CancellationToken ct)
    {
        for (var failures = 0; ; failures++)
        {
            (_joined, _toldToWait) = (false, null);
            try
            {
                await ConnectAsync(ct);
                await notes.WriteLineAsync("The server closed the connection.");
            }
            catch (OperationCanceledException) when (ct.IsCancellationRequested)
            {
                return ExitCode.Done;
            }
            catch (RefusedException ex)
            {
                await notes.WriteLineAsync(ex.Message);
                return ExitCode.Failed;
            }
            catch (Exception ex) when (
                ex is WebSocketException or IOException or OperationCanceledException or JsonException or InvalidOperationException
                or KeyNotFoundException or FormatException)
            {
                await notes.WriteLineAsync($"The connection is lost: {ex.Message}");
            }

            if (_joined) failures = 0;
            try
            {
                await Task.Delay(_toldToWait ?? Pause(failures, RandomNumberGenerator.GetInt32(1000) / 1000.0), clock, ct);
            }
            catch (OperationCanceledException)
            {
                return ExitCode.Done;
            }
        }
    }

    /// <summary>
    /// How long to wait before the next attempt: twice as long each time, and a part of it by chance, so that not everybody comes back at
    /// once.
    /// </summary>
    internal static TimeSpan Pause(int failures, double chance)
    {
        var whole = TimeSpan.FromTicks(Math.Min(LongestPause.Ticks, FirstPause.Ticks << Math.Min(failures, 10)));
        return (whole / 2) + (whole / 2 * chance);
    }

    async Task ConnectAsync(CancellationToken ct)
    {
        using var socket = new ClientWebSocket();
        using var silence = new CancellationTokenSource(TimeSpan.FromSeconds(20), clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(ct, silence.Token);
        await socket.ConnectAsync(address, either.Token);
        while (await ReceiveAsync(socket, either.Token) is { } packet)
        {
            // Engine.IO: open, ping, close; all else is a message of Socket.IO.
            if (packet.StartsWith('0'))
            {
                _patience = PatienceOf(JsonElement.Parse(packet[1..]));
                await SendAsync(socket, "40" + JsonSerializer.Serialize(new { token = token() }), either.Token);
            }
            else if (packet == "2") await SendAsync(socket, "3", either.Token);
            else if (packet is "1" or "41") return;
            else if (packet.StartsWith("40", StringComparison.Ordinal)) await SendAsync(socket, "421" + Subscription(), either.Token);
            else if (packet.StartsWith("44", StringComparison.Ordinal)) Refused(JsonElement.Parse(packet[2..]));
            else if (packet.StartsWith("431[", StringComparison.Ordinal)) await AnsweredAsync(JsonElement.Parse(packet[3..])[0]);
            else if (packet.StartsWith("42[", StringComparison.Ordinal)) await HeardAsync(JsonElement.Parse(packet[2..]));
            silence.CancelAfter(_patience);
        }
    }

    // Longer than the server is silent (Engine.IO 4, heartbeat); a number that no heartbeat has must not become a timer.
    internal static TimeSpan PatienceOf(JsonElement open) => TimeSpan.FromMilliseconds(
        Math.Clamp(open.GetProperty("pingInterval").GetInt64(), 1000, 600_000)
        + Math.Clamp(open.GetProperty("pingTimeout").GetInt64(), 1000, 600_000));

    string Subscription() => JsonSerializer.Serialize(_last is { } since
        ? new object[] { "subscribe", new { channel = request.Channel, since = new { epoch = since.Epoch, offset = since.Offset } } }
        : ["subscribe", new { channel = request.Channel }]);

    async Task AnsweredAsync(JsonElement answer)
    {
        if (!answer.GetProperty("ok").GetBoolean())
        {
            Refused(answer);
            return;
        }
        _joined = true;
        await BeginAsync(PositionOf(answer.GetProperty("position")), answer.GetProperty("recovered").GetBoolean());
    }

    async Task HeardAsync(JsonElement packet)
    {
        if (packet.GetArrayLength() == 0) return;
        var name = packet[0].GetString()!;
        if (packet.GetArrayLength() > 2 && packet[2] is { ValueKind: JsonValueKind.Object } about && Is(about, "channel", request.Channel)
            && about.TryGetProperty("offset", out _))
            await PrintAsync(name, packet[1], about);
        else if (packet.GetArrayLength() < 2 || !Is(packet[1], "channel", request.Channel)) return;
        else if (name == "subscribed"
            && _joined) await BeginAsync(PositionOf(packet[1].GetProperty("position")), packet[1].GetProperty("recovered").GetBoolean());
        else if (name == "unsubscribed") throw new RefusedException($"The server has taken {request.Channel} away from this token.");
    }

    // Publications after the last position were sent before this, if possible.
    async Task BeginAsync(Position position, bool recovered)
    {
        if (_last is { } last && !recovered && position != last)
            await notes.WriteLineAsync(
                $"GAP: what came after {last.Epoch}:{last.Offset} is not kept any more. "
                + $"Going on after {position.Epoch}:{position.Offset}.");
        if (_last is null || !recovered) _last = position;
    }

    async Task PrintAsync(string name, JsonElement payload, JsonElement about)
    {
        var position = PositionOf(about);
        if (_last is { } last && last.Epoch == position.Epoch)
        {
            if (position.Offset <= last.Offset) return;   // seen before
            if (position.Offset > last.Offset + 1) await notes.WriteLineAsync(
                $"GAP: {last.Epoch}:{last.Offset + 1} to {position.Epoch}:{position.Offset - 1} did not arrive.");
        }
        _last = position;

        var line = new ArrayBufferWriter<byte>();
        await using (var json = new Utf8JsonWriter(
            line, new JsonWriterOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteString("event", name);
            foreach (var member in about.EnumerateObject()) member.WriteTo(json);
            json.WritePropertyName("data");
            payload.WriteTo(json);
            json.WriteEndObject();
        }
        await output.WriteLineAsync(Encoding.UTF8.GetString(line.WrittenSpan));
        await output.FlushAsync();
    }

    // The details of a refused connection are its data, those of a refused request its error.
    void Refused(JsonElement answer)
    {
        var error = answer.TryGetProperty("data", out var details) || answer.TryGetProperty("error", out details) ? details : answer;
        var (code, message) = (Text(error, "code") ?? "refused", Text(error, "message"));
        if (Missing(code) is { } missing) message += " " + missing;
        if (!error.TryGetProperty("retryable", out var retryable)
            || retryable.ValueKind != JsonValueKind.True) throw new RefusedException($"{code}: {message}");
        if (error.TryGetProperty("retryAfter", out var wait)
            && wait.TryGetInt32(out var seconds)) _toldToWait = TimeSpan.FromSeconds(Math.Clamp(seconds, 1, 3600));
        throw new IOException($"{code}: {message}");
    }

    /// <summary>The setting that is missing, on the server or in this terminal, when a refusal may be due to one; null otherwise.</summary>
    string? Missing(string code)
    {
        const string Prefix = Settings.Prefix;
        var ownToken = request.Token is null;
        var table = request.Channel.StartsWith("changes:", StringComparison.Ordinal) ? request.Channel["changes:".Length..] : null;
        return code switch
        {
            _ when code == ErrorCode.Unauthorized.Code && ownToken && token() is null =>
                $"No token was sent: set {Prefix}Access__SigningKey here to the key that the server has, or pass a token with --token.",
            _ when code == ErrorCode.Unauthorized.Code && ownToken =>
                $"The token was signed with {Prefix}Access__SigningKey of this terminal; the server must have the same key, issuer and "
                    + "audience.",
            _ when code == ErrorCode.UnknownUser.Code && ownToken =>
                $"Enter the user first (PUT /api/users/{request.Subject}), name a known one with --sub, or start the server with "
                + $"{Prefix}Access__UnknownUsers=create.",
            _ when code == ErrorCode.UnknownChannel.Code && table is not null =>
                $"The server does not follow a table \"{table}\": start it with {Prefix}Changes__Tables__0={table}. "
                + "The table must exist in its database.",
            _ when code == ErrorCode.UnknownChannel.Code =>
                $"Channels belong to areas: start the server with {Prefix}Areas__0__Pattern and the settings beside it, or correct the "
                    + "name.",
            _ when code == ErrorCode.Forbidden.Code && !ownToken =>
                $"The token does not allow it: `token --sub … --capability \"{request.Channel}=subscribe\"` makes one that does, "
                + "or grant it with Subscribe of the channel's area.",
            _ when code == ErrorCode.Forbidden.Code => "Grant it with Subscribe of the channel's area.",
            _ => null,
        };
    }

    static async Task<string?> ReceiveAsync(ClientWebSocket socket, CancellationToken ct)
    {
        var message = new ArrayBufferWriter<byte>(16 * 1024);
        while (true)
        {
            var part = await socket.ReceiveAsync(message.GetMemory(16 * 1024), ct);
            if (part.MessageType == WebSocketMessageType.Close) return null;
            message.Advance(part.Count);
            if (message.WrittenCount > MaxMessageBytes) throw new IOException("The server sent more than one message may hold.");
            if (!part.EndOfMessage) continue;
            // attachments are nothing for a line of text
            return part.MessageType == WebSocketMessageType.Text ? Encoding.UTF8.GetString(message.WrittenSpan) : "";
        }
    }

    static Task SendAsync(ClientWebSocket socket, string packet, CancellationToken ct) =>
        socket.SendAsync(Encoding.UTF8.GetBytes(packet), WebSocketMessageType.Text, endOfMessage: true, ct);

    static bool TryAddress(string url, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out Uri? address)
    {
        address = null;
        if (!Uri.TryCreate(url, UriKind.Absolute, out var given) || given.Scheme is not ("http" or "https")) return false;
        address = new UriBuilder(given) { Scheme = given.Scheme == "https" ? "wss"
            : "ws", Path = "/socket.io/", Query = "EIO=4&transport=websocket" }.Uri;
        return true;
    }

    internal static bool TryPosition(string? text, out Position? position)
    {
        position = null;
        if (text is null) return true;
        var at = text.LastIndexOf(':');
        if (at < 1 || !long.TryParse(text[(at + 1)..], System.Globalization.NumberStyles.None, null, out var offset)) return false;
        position = new Position(text[..at], offset);
        return true;
    }

    static Position PositionOf(JsonElement json) => new(json.GetProperty("epoch").GetString()!, json.GetProperty("offset").GetInt64());

    static string? Text(JsonElement json, string name) =>
        json.ValueKind == JsonValueKind.Object && json.TryGetProperty(name, out var text) && text.ValueKind == JsonValueKind.String
            ? text.GetString() : null;

    static bool Is(JsonElement json, string name, string value) => Text(json, name) == value;
}
