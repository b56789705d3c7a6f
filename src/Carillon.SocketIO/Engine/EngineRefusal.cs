using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Carillon.SocketIO.Limits;
using Microsoft.AspNetCore.Http;

namespace Carillon.SocketIO.Engine;

/// <summary>Why a request is refused, with the code and the sentence of Engine.IO.</summary>
sealed record EngineRefusal(int Code, string Message, int Status = StatusCodes.Status400BadRequest)
{
    static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static readonly EngineRefusal UnknownTransport = new(0, "Transport unknown");
    public static readonly EngineRefusal UnknownSession = new(1, "Session ID unknown");
    public static readonly EngineRefusal BadHandshakeMethod = new(2, "Bad handshake method");
    public static readonly EngineRefusal BadRequest = new(3, "Bad request");
    public static readonly EngineRefusal UnsupportedVersion = new(5, "Unsupported protocol version");
    public static readonly EngineRefusal TooManyConnections = Of(
        new(Refusal.TooManyConnections, TimeSpan.FromSeconds(5)), StatusCodes.Status503ServiceUnavailable);
    public static readonly EngineRefusal ShortOfMemory = Of(
        new(Refusal.Unavailable, TimeSpan.FromSeconds(10)), StatusCodes.Status503ServiceUnavailable);
    public static readonly EngineRefusal ServerClosing = Of(
        new(Refusal.ServerClosing, TimeSpan.FromSeconds(5)), StatusCodes.Status503ServiceUnavailable);

    /// <summary>The reason if it was refused without reading the request: the answer says when to retry.</summary>
    public Refusal? NotNow { get; private init; }

    public static EngineRefusal Forbidden(string message = "Forbidden") => new(4, message, StatusCodes.Status403Forbidden);

    /// <summary>The refusal of an address that may not connect right now.</summary>
    public static EngineRefusal Of(Refusal refusal) =>
        Of(refusal, refusal.Code == Refusal.Banned ? StatusCodes.Status403Forbidden : StatusCodes.Status429TooManyRequests);

    static EngineRefusal Of(Refusal refusal, int status) => new(4, refusal.Code, status) { NotNow = refusal };

    /// <summary>The body of the answer, as clients of polling read it.</summary>
    public byte[] Json() => NotNow is { } notNow
        ? JsonSerializer.SerializeToUtf8Bytes(
            new { code = Code, message = Message, retryable = notNow.IsRetryable, retryAfter = notNow.RetryAfterSeconds }, Plain)
        : JsonSerializer.SerializeToUtf8Bytes(new { code = Code, message = Message }, Plain);

    /// <summary>Answers a request with the refusal.</summary>
    /// <param name="context">The request.</param>
    /// <param name="upgrade">Whether the client asked for a WebSocket.</param>
    public async Task WriteAsync(HttpContext context, bool upgrade)
    {
        var response = context.Response;
        // The reference server answers clients of WebSocket with 400 and the sentence, whatever the reason. So do we, unless they are to
        // come back later.
        var isText = upgrade && NotNow is null;
        response.StatusCode = isText ? StatusCodes.Status400BadRequest : Status;
        if (NotNow is { } notNow) response.Headers.RetryAfter = notNow.RetryAfterSeconds.ToString();
        response.ContentType = isText ? "text/plain; charset=UTF-8" : "application/json";
        var body = isText ? Encoding.UTF8.GetBytes(Message) : Json();
        response.ContentLength = body.Length;
        await response.Body.WriteAsync(body, context.RequestAborted);
    }
}
