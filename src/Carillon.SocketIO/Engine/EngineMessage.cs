using System.Text;
using Microsoft.AspNetCore.Http;

namespace Carillon.SocketIO.Engine;

/// <summary>One message from a client. Its bytes are valid during the call only: copy what must stay.</summary>
public readonly ref struct EngineMessage
{
    internal EngineMessage(ReadOnlySpan<byte> data, bool isBinary, IHeaderDictionary? requestHeaders)
    {
        Data = data;
        IsBinary = isBinary;
        RequestHeaders = requestHeaders;
    }

    /// <summary>The bytes; UTF-8 where the message is a text.</summary>
    public ReadOnlySpan<byte> Data { get; }

    /// <summary>Whether the message is binary.</summary>
    public bool IsBinary { get; }

    /// <summary>The headers of the POST that carried the message; <see langword="null"/> over WebSocket.</summary>
    public IHeaderDictionary? RequestHeaders { get; }

    /// <summary>The message as a text.</summary>
    public string Text => Encoding.UTF8.GetString(Data);
}

/// <summary>Receives the messages of one connection, one after the other.</summary>
public delegate void EngineMessageHandler(EngineMessage message);
