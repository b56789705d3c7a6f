using System.Buffers;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Carillon.Channels;

namespace Carillon.Changes;

/// <summary>A row of the log as clients receive it: live and replayed alike, and never much more than a kilobyte.</summary>
internal static class ChangeEncoder
{
    public const string Event = "change";
    public const int MostBytes = 1024;

    static readonly JsonWriterOptions Compact = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = false };

    public static string ChannelOf(string table) => $"changes:{table}";

    public static Publication Of(LogRow row) =>
        new(ChannelOf(row.Table), Event, new Position(row.Epoch, row.Offset), IdOf(row), At(row), Fit(row));

    // The epoch is part of the id: a file restored from a backup counts its rows again, and an id must never mean two things.
    static string IdOf(LogRow row) => string.Create(CultureInfo.InvariantCulture, $"{row.Epoch}-{row.Offset}");

    static DateTimeOffset At(LogRow row) =>
        DateTimeOffset.TryParse(row.At, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal,
            out var at) ? at : DateTimeOffset.UnixEpoch;

    /// <summary>
    /// Members that do not fit are omitted, the least needed first: the row, then the columns, then the actor; a key of that size is null.
    /// </summary>
    internal static byte[] Fit(LogRow row)
    {
        var (value, columns, actor, key) = (row.Row, row.ChangedColumns, row.Actor, row.Key);
        for (var leftOut = 0; ; leftOut++)
        {
            if (leftOut == 1) value = null;
            if (leftOut == 2) columns = "[]";
            if (leftOut == 3) actor = null;
            if (leftOut == 4) key = "null";
            var body = Write(row, key, columns, value, actor);
            if (body.Length <= MostBytes || leftOut == 4) return body;
        }
    }

    static byte[] Write(LogRow row, string key, string columns, string? value, string? actor)
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using var json = new Utf8JsonWriter(buffer, Compact);
        json.WriteStartObject();
        json.WriteString("id"u8, IdOf(row));
        json.WriteString("table"u8, row.Table);
        json.WriteString("operation"u8, row.Operation);
        WriteJson(json, "key", key, otherwise: "null");
        WriteJson(json, "columns", columns, otherwise: "[]");
        if (value is not null) WriteJson(json, "row", value, otherwise: null);
        if (actor is not null) json.WriteString("actor"u8, actor);
        json.WriteString("at"u8, row.At);
        json.WriteEndObject();
        json.Flush();
        return buffer.WrittenSpan.ToArray();
    }

    // The log is the application's file: anybody may have written anything there, and SQLite's own JSON has had its moments.
    static void WriteJson(Utf8JsonWriter json, string name, string text, string? otherwise)
    {
        try
        {
            using var _ = JsonDocument.Parse(text);
        }
        catch (JsonException)
        {
            if (otherwise is null) return;
            text = otherwise;
        }

        json.WritePropertyName(name);
        json.WriteRawValue(text, skipInputValidation: true);
    }
}
