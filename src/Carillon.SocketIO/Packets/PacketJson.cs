using System.Text;
using System.Text.Json;

namespace Carillon.SocketIO;

/// <summary>
/// The JSON of a packet: checked whole, but taken apart only into the values of its outermost list. Most values are handed on, or read once as a text, and need no
/// more than their bytes.
/// </summary>
sealed class PacketJson
{
    /// <summary>For parsing again what has been checked here, against the limit of the settings (at most this).</summary>
    public static readonly JsonDocumentOptions Checked = new() { MaxDepth = 1000 };

    [ThreadStatic] static List<Range>? t_values;

    readonly byte[] _utf8;
    readonly Range[] _values;

    PacketJson(byte[] utf8, JsonTokenType type, Range[] values) => (_utf8, Type, _values) = (utf8, type, values);

    /// <summary>The kind of value: <see cref="JsonTokenType.StartArray"/> for a list.</summary>
    public JsonTokenType Type { get; }

    /// <summary>How many values the list has; 0 where it is none.</summary>
    public int Count => _values.Length;

    /// <summary>The bytes of all of it.</summary>
    public ReadOnlySpan<byte> Utf8 => _utf8;

    /// <summary>The bytes of one value of the list.</summary>
    public ReadOnlyMemory<byte> this[int index] => _utf8.AsMemory(_values[index]);

    /// <summary>Checks and copies. False: it is no JSON, or nested too deep.</summary>
    public static bool TryParse(ReadOnlySpan<byte> json, int depth, out PacketJson? parsed)
    {
        parsed = null;
        var values = t_values ??= [];
        values.Clear();
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = depth });
        try
        {
            reader.Read();
            var type = reader.TokenType;
            if (type != JsonTokenType.StartArray)
            {
                reader.Skip();
            }
            else
            {
                while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
                {
                    var start = (int)reader.TokenStartIndex;
                    reader.Skip();
                    values.Add(start..(int)reader.BytesConsumed);
                }
            }
            if (reader.Read()) return false;   // something behind it
            parsed = new PacketJson(json.ToArray(), type, [.. values]);
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
        finally
        {
            if (values.Capacity > 1024) t_values = null;
        }
    }

    /// <summary>The text of a JSON string; <see langword="null"/> where the bytes are none, or are half of a surrogate pair, which JSON allows and Unicode does not.</summary>
    public static string? Text(ReadOnlySpan<byte> value)
    {
        if (value is not [(byte)'"', .., (byte)'"']) return null;
        if (!value.Contains((byte)'\\')) return Encoding.UTF8.GetString(value[1..^1]);
        var reader = new Utf8JsonReader(value);
        reader.Read();
        try
        {
            return reader.GetString();
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }
}
