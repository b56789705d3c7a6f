using System.Data;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Dapper;

namespace Magasin.Data;

/// <summary>A row's id: a text in JSON, as ids are there; a number is understood as well.</summary>
[JsonConverter(typeof(Json))]
internal readonly record struct Id(long Value)
{
    /// <summary>For routes: what is no id names nothing, so it answers 404 like any unknown one.</summary>
    public static long Parse(string text) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var id) ? id : -1;

    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);

    internal sealed class Column : SqlMapper.TypeHandler<Id>
    {
        public override Id Parse(object value) => new(Convert.ToInt64(value, CultureInfo.InvariantCulture));

        public override void SetValue(IDbDataParameter parameter, Id value) => parameter.Value = value.Value;
    }

    internal sealed class Json : JsonConverter<Id>
    {
        public override Id Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.TokenType switch
        {
            JsonTokenType.Number when reader.TryGetInt64(out var number) => new Id(number),
            JsonTokenType.String when long.TryParse(reader.GetString(), NumberStyles.None, CultureInfo.InvariantCulture, out var text) =>
                new Id(text),
            JsonTokenType.String => new Id(-1),   // well-formed, and nobody's
            _ => throw new JsonException("An id is a text."),
        };

        public override void Write(Utf8JsonWriter writer, Id value, JsonSerializerOptions options) =>
            writer.WriteStringValue(value.ToString());
    }
}
