using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Carillon.SocketIO.Packets;

/// <summary>
/// JSON with binary in it: on the way out each byte array becomes a placeholder and an attachment, on the way in a placeholder becomes its
/// attachment.
/// </summary>
static class BinaryJson
{
    // The attachments of the value that this very thread is writing or reading; serialization is synchronous, so they cannot mix.
    [ThreadStatic] static List<ReadOnlyMemory<byte>>? t_written;
    [ThreadStatic] static ReadOnlyMemory<byte>[]? t_read;

    static readonly JsonSerializerOptions Options = new(CompactJson.Options)
    {
        Converters = { new BytesConverter(), new MemoryConverter(), new ValueConverter(), new RawConverter() },
    };

    /// <summary>Writes one argument; what is binary in it is added to the attachments.</summary>
    public static void Write(Utf8JsonWriter writer, object? argument, List<ReadOnlyMemory<byte>> attachments)
    {
        switch (argument)
        {
            case null: writer.WriteNullValue(); break;
            case string text: writer.WriteStringValue(text); break;
            case int number: writer.WriteNumberValue(number); break;
            case long number: writer.WriteNumberValue(number); break;
            case bool flag: writer.WriteBooleanValue(flag); break;
            case RawJson raw: writer.WriteRawValue(raw.Utf8.Span, skipInputValidation: true); break;
            case SocketValue value: WriteValue(writer, value, attachments); break;
            default:
                var outer = t_written;
                t_written = attachments;
                try
                {
                    JsonSerializer.Serialize(writer, argument, argument.GetType(), Options);
                }
                finally
                {
                    t_written = outer;
                }
                break;
        }
    }

    public static T? Deserialize<T>(JsonElement json, ReadOnlyMemory<byte>[] attachments)
    {
        var outer = t_read;
        t_read = attachments;
        try
        {
            return json.Deserialize<T>(Options);
        }
        finally
        {
            t_read = outer;
        }
    }

    /// <summary>Whether a JSON value stands for an attachment: <c>{"_placeholder":true,"num":0}</c>.</summary>
    public static bool TryGetPlaceholder(JsonElement json, out int number)
    {
        number = 0;
        try
        {
            return json.ValueKind == JsonValueKind.Object
                && json.TryGetProperty("_placeholder"u8, out var flag) && flag.ValueKind == JsonValueKind.True
                && json.TryGetProperty("num"u8, out var num) && num.ValueKind == JsonValueKind.Number
                && num.TryGetInt32(out number) && number >= 0;
        }
        catch (InvalidOperationException)
        {
            return false;   // a member's name is half of a surrogate pair
        }
    }

    /// <summary>
    /// Whether every placeholder in a value names one of that many attachments, and there are no more placeholders than attachments: each
    /// may become a copy of its attachment.
    /// </summary>
    /// <exception cref="InvalidOperationException">A member's name is half of a surrogate pair: the value could not be written
    /// again.</exception>
    public static bool PlaceholdersFit(JsonElement json, int attachments)
    {
        var left = attachments;
        return Fit(json, attachments, ref left);
    }

    static bool Fit(JsonElement json, int attachments, ref int left)
    {
        switch (json.ValueKind)
        {
            case JsonValueKind.Array:
                foreach (var item in json.EnumerateArray())
                    if (!Fit(item, attachments, ref left)) return false;
                return true;
            case JsonValueKind.Object when json.TryGetProperty("_placeholder"u8, out var flag) && flag.ValueKind == JsonValueKind.True:
                return TryGetPlaceholder(json, out var number) && number < attachments && --left >= 0;
            case JsonValueKind.Object:
                foreach (var member in json.EnumerateObject())
                {
                    if (JsonMarshal.GetRawUtf8PropertyName(member).Contains((byte)'\\')) _ = member.Name;
                    if (!Fit(member.Value, attachments, ref left)) return false;
                }
                return true;
            default:
                return true;
        }
    }

    static void WriteValue(Utf8JsonWriter writer, SocketValue value, List<ReadOnlyMemory<byte>> attachments)
    {
        if (value.Json.ValueKind == JsonValueKind.Undefined) writer.WriteNullValue();
        // byte for byte what the client sent
        else if (value.Attachments.Length == 0) writer.WriteRawValue(value.Utf8, skipInputValidation: true);
        else Copy(writer, value.Json, value.Attachments, attachments);
    }

    static void Copy(Utf8JsonWriter writer, JsonElement json, ReadOnlyMemory<byte>[] from, List<ReadOnlyMemory<byte>> to)
    {
        if (TryGetPlaceholder(json, out var number) && number < from.Length)
        {
            WritePlaceholder(writer, from[number], to);
            return;
        }
        switch (json.ValueKind)
        {
            case JsonValueKind.Object:
                writer.WriteStartObject();
                foreach (var member in json.EnumerateObject())
                {
                    writer.WritePropertyName(member.Name);
                    Copy(writer, member.Value, from, to);
                }
                writer.WriteEndObject();
                break;
            case JsonValueKind.Array:
                writer.WriteStartArray();
                foreach (var item in json.EnumerateArray()) Copy(writer, item, from, to);
                writer.WriteEndArray();
                break;
            default:
                writer.WriteRawValue(JsonMarshal.GetRawUtf8Value(json), skipInputValidation: true);
                break;
        }
    }

    static void WritePlaceholder(Utf8JsonWriter writer, ReadOnlyMemory<byte> bytes, List<ReadOnlyMemory<byte>> attachments)
    {
        writer.WriteStartObject();
        writer.WriteBoolean("_placeholder"u8, true);
        writer.WriteNumber("num"u8, attachments.Count);
        writer.WriteEndObject();
        attachments.Add(bytes);
    }

    static ReadOnlyMemory<byte> ReadPlaceholder(ref Utf8JsonReader reader)
    {
        var json = JsonElement.ParseValue(ref reader);
        if (t_read is { } attachments && TryGetPlaceholder(json, out var number) && number < attachments.Length) return attachments[number];
        return json.ValueKind == JsonValueKind.String && json.TryGetBytesFromBase64(out var bytes) ? bytes
            : throw new JsonException("The value is not binary.");
    }

    sealed class BytesConverter : JsonConverter<byte[]>
    {
        public override byte[] Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options) =>
            ReadPlaceholder(ref reader).ToArray();

        public override void Write(Utf8JsonWriter writer, byte[] value, JsonSerializerOptions options) =>
            WritePlaceholder(writer, value, t_written!);
    }

    sealed class MemoryConverter : JsonConverter<ReadOnlyMemory<byte>>
    {
        public override ReadOnlyMemory<byte> Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options) =>
            ReadPlaceholder(ref reader);

        public override void Write(Utf8JsonWriter writer, ReadOnlyMemory<byte> value, JsonSerializerOptions options) =>
            WritePlaceholder(writer, value, t_written!);
    }

    sealed class ValueConverter : JsonConverter<SocketValue>
    {
        public override SocketValue Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options) =>
            new(JsonElement.ParseValue(ref reader), t_read ?? []);

        public override void Write(Utf8JsonWriter writer, SocketValue value, JsonSerializerOptions options) =>
            WriteValue(writer, value, t_written!);
    }

    sealed class RawConverter : JsonConverter<RawJson>
    {
        public override RawJson Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options) =>
            new(System.Text.Encoding.UTF8.GetBytes(JsonElement.ParseValue(ref reader).GetRawText()));

        public override void Write(Utf8JsonWriter writer, RawJson value, JsonSerializerOptions options) =>
            writer.WriteRawValue(value.Utf8.Span, skipInputValidation: true);
    }
}
