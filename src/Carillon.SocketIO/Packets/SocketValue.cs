using System.Collections;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Carillon.SocketIO.Packets;

/// <summary>JSON that is already encoded, for <c>Emit</c>: it is put into the packet as it is.</summary>
/// <param name="Utf8">One JSON value in UTF-8.</param>
public readonly record struct RawJson(ReadOnlyMemory<byte> Utf8);

/// <summary>
/// One argument of an event or acknowledgement: a JSON value, in which binary attachments may stand in the place of any value. It can be
/// emitted
/// again as it is.
/// </summary>
public readonly struct SocketValue
{
    readonly ReadOnlyMemory<byte>[] _attachments;

    /// <summary>Reads JSON that a client sent otherwise, such as the credentials of its handshake, with the same care.</summary>
    /// <param name="json">The JSON.</param>
    public SocketValue(JsonElement json) : this(json, [])
    {
    }

    internal SocketValue(JsonElement json, ReadOnlyMemory<byte>[] attachments) => (Json, _attachments) = (json, attachments);

    /// <summary>
    /// The JSON. A binary attachment is an object <c>{"_placeholder":true,"num":0}</c> here: read it by <see cref="AsBinary"/>, or by
    /// <see cref="As{T}"/> into a
    /// <c>byte[]</c> member. Undefined where the client sent fewer arguments.
    /// </summary>
    public JsonElement Json { get; }

    /// <summary>Whether the value is a binary attachment itself.</summary>
    public bool IsBinary => BinaryJson.TryGetPlaceholder(Json, out var number) && number < Attachments.Length;

    /// <summary>The member of an object, or an undefined value.</summary>
    public SocketValue this[string member] => new(Find(member), Attachments);

    /// <summary>The bytes of the attachment, or <see langword="null"/> where the value is none.</summary>
    public ReadOnlyMemory<byte>? AsBinary() =>
        BinaryJson.TryGetPlaceholder(Json, out var number) && number < Attachments.Length
            ? Attachments[number] : default(ReadOnlyMemory<byte>?);

    /// <summary>The text, or <see langword="null"/> where the value is no text, or no text that Unicode allows.</summary>
    public string? AsString()
    {
        if (Json.ValueKind != JsonValueKind.String) return null;
        try
        {
            return Json.GetString();
        }
        catch (InvalidOperationException)
        {
            return null;   // half of a surrogate pair: JSON allows it, Unicode does not
        }
    }

    /// <summary>The value as a .NET type, attachments as <c>byte[]</c>.</summary>
    /// <exception cref="JsonException">The value does not fit the type.</exception>
    public T? As<T>() => BinaryJson.Deserialize<T>(Json, Attachments);

    JsonElement Find(string member)
    {
        try
        {
            return Json.ValueKind == JsonValueKind.Object && Json.TryGetProperty(member, out var value) ? value : default;
        }
        catch (InvalidOperationException)
        {
            return default;   // another member's name is half of a surrogate pair
        }
    }

    internal ReadOnlyMemory<byte>[] Attachments => _attachments ?? [];

    internal ReadOnlySpan<byte> Utf8 => JsonMarshal.GetRawUtf8Value(Json);
}

/// <summary>The arguments of an event, without its name, or of an acknowledgement.</summary>
public sealed class SocketArguments : IReadOnlyList<SocketValue>
{
    internal static readonly SocketArguments None = new(default, 0, []);

    const int Near = 16;

    readonly JsonElement _list;
    readonly int _skip;
    readonly ReadOnlyMemory<byte>[] _attachments;
    JsonElement[]? _items;

    internal SocketArguments(JsonElement list, int skip, ReadOnlyMemory<byte>[] attachments)
    {
        (_list, _skip, _attachments) = (list, skip, attachments);
        Count = list.ValueKind == JsonValueKind.Array ? list.GetArrayLength() - skip : 0;
    }

    /// <summary>How many there are.</summary>
    public int Count { get; }

    /// <summary>The argument at a place; an undefined value behind the last one, because clients may leave arguments out.</summary>
    public SocketValue this[int index] => index >= 0 && index < Count ? new SocketValue(At(index + _skip), _attachments) : default;

    /// <inheritdoc/>
    public IEnumerator<SocketValue> GetEnumerator()
    {
        for (var i = 0; i < Count; i++) yield return this[i];
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    // An item of a JSON array is found by walking to it. A list of hundreds of thousands must be walked once, not once for each item.
    JsonElement At(int place) => place < Near ? _list[place] : (_items ??= [.. _list.EnumerateArray()])[place];
}
