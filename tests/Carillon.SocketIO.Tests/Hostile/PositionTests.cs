using System.Text;
using System.Text.RegularExpressions;
using Carillon.SocketIO.Packets;
using Carillon.SocketIO.WebSockets;

namespace Carillon.SocketIO.Tests.Hostile;

/// <summary>The wrong thing at each place of each packet, and names that break those who do not expect them.</summary>
public class PositionTests
{
    static readonly string[] Values = ["null", "true", "false", "0", "-1", "1.5", "1e999", "\"\"", "\"x\"", "\"\\ud800\"", "[]", "[1]", "{}", "{\"a\":1}", "{\"\\ud800\":1}", "[[[]]]", "nul", "{", "\"", "01", "NaN", "\u0000"];

    // What may stand where; everything else closes the connection.
    static readonly (string Before, string After, string[] Allowed)[] Places =
    [
        ("40/other,", "", ["{}", "{\"a\":1}", "{\"\\ud800\":1}", "0", "01"]),
        ("41", "", ["0", "01"]),                                             // digits are an id, which means nothing here
        ("42", "", ["[1]", "0", "01"]),                                      // an event with an id, and without a name
        ("42[", "]", ["0", "-1", "1.5", "1e999", "\"\"", "\"x\""]),
        ("42[", ",1]", ["0", "-1", "1.5", "1e999", "\"\"", "\"x\""]),
        ("427[\"x\",", "]", [.. Values[..16]]),
        ("42[\"x\",{\"a\":", "}]", [.. Values[..16]]),
        ("43", "", ["[]", "[1]", "[[[]]]", "0", "01"]),
        ("430", "", ["[]", "[1]", "[[[]]]", "0", "01"]),
        ("430[", "]", [.. Values[..16]]),
        ("44", "", []),
        ("450-", "", []),
        ("46", "", []),
        ("47", "", []),
    ];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_wrong_type_at_any_place_of_a_packet_closes_one_connection_and_the_right_one_does_not(bool direct)
    {
        await using var siege = await Siege.StartAsync(direct, setUp: io => io.Of("/other"));
        foreach (var (before, after, allowed) in Places)
            foreach (var value in Values)
            {
                using var wire = await Wire.JoinAsync(siege.Server);
                await wire.TextAsync(before + value + after);
                if (!allowed.Contains(value))
                {
                    Assert.True(await wire.EndAsync() == 1005, before + value + after);
                    continue;
                }
                if (before.StartsWith("40", StringComparison.Ordinal)) Assert.StartsWith("40/other,{", await wire.TextAsync(), StringComparison.Ordinal);
                if (before.StartsWith("41", StringComparison.Ordinal)) await wire.TextAsync("40");
                if (before.StartsWith("41", StringComparison.Ordinal)) await wire.TextAsync();
                await wire.TextAsync("421[\"echo\",1]");
                Assert.True(await wire.TextAsync() == "431[1]", before + value + after);
            }
        await siege.AssertNothingLeftAsync();
    }

    [Fact]
    public async Task Arguments_of_any_type_are_read_without_harm_by_handlers_that_expect_another()
    {
        await using var siege = await Siege.StartAsync(direct: true, setUp: io => io.Root.On("read", e =>
        {
            var value = e.Arguments[0];
            e.Ack(value.AsString() is not null, value.IsBinary, value.AsBinary() is not null, value["a"].Json.ValueKind.ToString(), e.Arguments[1].Json.ValueKind.ToString(), e.Arguments[-1].IsBinary);
        }));
        using var wire = await Wire.JoinAsync(siege.Server);
        foreach (var value in Values[..16])
        {
            await wire.TextAsync($"421[\"read\",{value}]");
            var (isString, member) = (value is "\"\"" or "\"x\"" ? "true" : "false", value == "{\"a\":1}" ? "Number" : "Undefined");
            Assert.Equal($"431[{isString},false,false,\"{member}\",\"Undefined\",false]", await wire.TextAsync());
        }
        await siege.AssertServedAsync();
    }

    public static TheoryData<string> Identifiers =>
    [
        "__proto__", "constructor", "toString", "hasOwnProperty", "", " ", "\0", "a\0b", "\n\r", "\u001e", "\u202e\u2066", "\ufeff", "\ufffd", "../../etc/passwd", "%00", "' OR 1=1 --", "<script>",
        "{0}", "${jndi:x}", "\ud83d\ude00", new string('n', 64 * 1024), new string('\u00e9', 400),
    ];

    [Theory]
    [MemberData(nameof(Identifiers))]
    public async Task Any_name_is_an_event_a_room_and_an_argument_and_nothing_more(string name)
    {
        await using var siege = await Siege.StartAsync(direct: true, setUp: io =>
        {
            io.Root.On("join", e =>
            {
                e.Socket.Join(e.Arguments[0].AsString()!);
                e.Ack(io.Root.Emit(e.Arguments[0].AsString()!), io.Root.To(e.Arguments[0].AsString()!).Emit("to the room", e.Arguments[0]));
            });
            io.Root.OnUnknown(e => e.Ack(e.Name));
        });
        var json = CompactJsonOf(name);
        using var wire = await Wire.JoinAsync(siege.Server);
        await wire.TextAsync($"421[{json}]");
        Assert.Equal($"431[{json}]", await wire.TextAsync());
        await wire.TextAsync($"422[\"join\",{json}]");
        Assert.Equal([$"42[{json}]", $"42[\"to the room\",{json}]", "432[2,1]"], [await wire.TextAsync(), await wire.TextAsync(), await wire.TextAsync()]);
        Assert.Equal(1, siege.Server.Io.Root.Rooms.CountOf(name));
        wire.Reset();
        await RunningServer.UntilAsync(() => siege.Server.Io.Root.Rooms.CountOf(name) == 0, "the room is gone");
    }

    [Theory]
    [MemberData(nameof(Identifiers))]
    public async Task Any_name_may_be_asked_for_as_a_namespace_a_session_and_a_parameter_and_is_refused(string name)
    {
        await using var siege = await Siege.StartAsync(direct: true, setUp: io => io.Of(new Regex("/[a-z]{1,20}")));
        using (var wire = await Wire.JoinAsync(siege.Server))
        {
            await wire.TextAsync($"40/{name},");
            // Without a name it is the namespace that the client is in.
            var answer = name.Length == 0 || Encoding.UTF8.GetByteCount(name) >= 512 ? "Close " : Regex.IsMatch(name, @"\A[a-z]{1,20}\z") ? $"40/{name},{{\"sid\"" : $"44/{name},{{\"message\":\"Invalid namespace\"}}";
            Assert.StartsWith(answer, await wire.TextAsync(), StringComparison.Ordinal);
        }
        var escaped = Uri.EscapeDataString(name);
        foreach (var (query, message) in new[] { ($"transport={escaped}&EIO=4", "Transport unknown"), ($"transport=polling&EIO=4&sid={escaped}", "Session ID unknown"), ($"transport=polling&EIO={escaped}", "Unsupported protocol version") })
        {
            var answer = await Wire.RequestAsync(siege.Server, $"GET /socket.io/?{query} HTTP/1.1\r\nHost: x\r\n\r\n");
            var opens = query.EndsWith("sid=", StringComparison.Ordinal);
            Assert.Equal(name.Length > 8000 ? 414 : opens ? 200 : 400, answer.Status);
            if (name.Length <= 8000 && !opens) Assert.Contains(message, answer.Body, StringComparison.Ordinal);
        }
        await siege.AssertServedAsync();
    }

    [Theory]
    [InlineData("\\ud800")]
    [InlineData("\\udc00\\ud800")]
    [InlineData("a\\udfff")]
    public async Task Half_a_surrogate_pair_is_no_name_and_no_text_and_does_no_harm(string half)
    {
        await using var siege = await Siege.StartAsync(direct: true, setUp: io => io.Root.On("read", e => e.Ack(e.Arguments[0].AsString(), e.Arguments[0]["channel"].Json.ValueKind.ToString(), e.Arguments[0].IsBinary, e.Arguments[0])));
        using var wire = await Wire.JoinAsync(siege.Server);
        foreach (var value in new[] { $"\"{half}\"", $"{{\"{half}\":1}}", $"{{\"{half}\":1,\"x\":2}}", $"[\"{half}\"]" })
        {
            await wire.TextAsync($"421[\"read\",{value}]");
            Assert.Equal($"431[null,\"Undefined\",false,{value}]", await wire.TextAsync());
        }
        await wire.TextAsync($"421[\"read\",{{\"{half}\":1,\"channel\":2}}]");
        Assert.StartsWith("431[null,\"Number\",", await wire.TextAsync(), StringComparison.Ordinal);

        foreach (var packet in new[] { $"42[\"{half}\"]", $"451-[\"read\",{{\"_placeholder\":true,\"num\":0}},{{\"{half}\":1}}]" })
        {
            using var other = await Wire.JoinAsync(siege.Server);
            await other.TextAsync(packet);
            await other.TrySendAsync(Wire.FrameOf(Opcode.Binary, "abc"u8));
            Assert.Equal(1005, await other.EndAsync());
        }
        wire.Reset();
        await siege.AssertNothingLeftAsync();
    }

    static string CompactJsonOf(string text) => System.Text.Json.JsonSerializer.Serialize(text, CompactJson.Options);
}
