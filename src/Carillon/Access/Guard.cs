using Carillon.Api;
using Carillon.Channels;
using Carillon.SocketIO;
using Carillon.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Carillon.Access;

/// <summary>
/// Stands before every endpoint of <c>/api</c>: who calls, whether they may, whether they have enough of their share left. It comes before anything of the request is read.
/// </summary>
sealed partial class Guard(
    AccessOptions options, Identification identification, ApiKeys keys, Audit audit, SocketServer server, RequestShares shares, Idempotency idempotency, StorageGate gate,
    ILogger<Guard> logger)
{
    const int MaxBody = 1_000_000;

    // Bytes of JSON become objects, copies and answers; this many times as much was the most that a publication held at once.
    const int Unfolded = 4;

    readonly long _mostInHand = MemoryShare.OneIn(8);
    long _inHand;

    /// <summary>The group of all endpoints of Carillon's API.</summary>
    public static RouteGroupBuilder Map(IEndpointRouteBuilder endpoints)
    {
        // The token or key decides, whatever schemes and policies the application has besides.
        var api = endpoints.MapGroup("/api").AllowAnonymous().ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status401Unauthorized)
            .ProducesProblem(StatusCodes.Status403Forbidden).ProducesProblem(StatusCodes.Status429TooManyRequests);
        ((IEndpointConventionBuilder)api).Finally(endpoint =>
        {
            var need = endpoint.Metadata.OfType<Need>().LastOrDefault() ?? throw new InvalidOperationException($"{endpoint.DisplayName} does not say who may call it.");
            var next = endpoint.RequestDelegate!;
            endpoint.RequestDelegate = http => http.RequestServices.GetRequiredService<Guard>().PassAsync(http, need, next);
        });
        return api;
    }

    async Task PassAsync(HttpContext http, Need need, RequestDelegate next)
    {
        if (!gate.IsOpen)
        {
            await RefuseAsync(http, ErrorCode.Unavailable, "The server is starting.", TimeSpan.FromSeconds(1));
            return;
        }
        var address = http.Connection.RemoteIpAddress;
        http.Response.Headers.XContentTypeOptions = "nosniff";      // an answer holds what people wrote, and is never a page or a script
        // Asked before the key is looked at: otherwise guessing would be limited in nothing but its answers.
        if (!server.Engine.Addresses.MayTry(address, out var wait))
        {
            await RefuseAsync(http, ErrorCode.RateLimited, "Too many wrong keys or tokens came from this address.", wait);
            return;
        }
        var (caller, error, subject) = await IdentifyAsync(http);
        if (caller is null)
        {
            audit.NoteRefusal(subject, "request", http.Request.Path, address, error!.Code);
            http.Response.Headers.WWWAuthenticate = need.Schemes;
            await RefuseAsync(http, error, error == ErrorCode.Unauthorized ? $"This needs a valid Authorization header: {need.Schemes}." : error.Message);
            return;
        }
        if (!shares.TrySpend(caller, out wait))
        {
            await RefuseAsync(http, ErrorCode.RateLimited, ErrorCode.RateLimited.Message, wait);
            return;
        }
        http.Features.Set(caller);
        UnescapeSlashes(http);
        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size) size.MaxRequestBodySize = MaxBody;
        try
        {
            if (need.Admits(caller)) await ServeWithinMemoryAsync(http, caller, next);
            else await RefuseAsync(http, ErrorCode.Forbidden, ErrorCode.Forbidden.Message);
        }
        finally
        {
            // Whoever refused it: the guard all callers of this kind, or the handler this one for this channel.
            if (http.Response.StatusCode == StatusCodes.Status403Forbidden) NoteForbidden(http, caller);
        }
    }

    // The bodies of all requests together, by what they say before they are read.
    async Task ServeWithinMemoryAsync(HttpContext http, Caller caller, RequestDelegate next)
    {
        var bytes = Unfolded * Math.Min(http.Request.ContentLength ?? (http.Features.Get<IHttpRequestBodyDetectionFeature>()?.CanHaveBody == false ? 0 : MaxBody), MaxBody);
        try
        {
            if (Interlocked.Add(ref _inHand, bytes) <= _mostInHand) await ServeAsync(http, caller, next);
            else await RefuseAsync(http, ErrorCode.Unavailable, "Too many large requests are being handled.", TimeSpan.FromSeconds(1));
        }
        finally
        {
            Interlocked.Add(ref _inHand, -bytes);
        }
    }

    void NoteForbidden(HttpContext http, Caller caller)
    {
        var what = http.Features.Get<Refused>() ?? new Refused("request", http.Request.Path);
        audit.NoteRefusal(caller.Actor, what.Action, what.Subject, caller.Address, ErrorCode.Forbidden.Code);
    }

    /// <summary>What a handler refused, where the address alone does not say it.</summary>
    public sealed record Refused(string Action, string Subject);

    async Task ServeAsync(HttpContext http, Caller caller, RequestDelegate next)
    {
        try
        {
            if (!await JsonBody.IsWritableAsync(http))
                await RefuseAsync(http, ErrorCode.InvalidPayload, "The body holds a text that is no Unicode, such as half a surrogate pair.");
            else if (http.GetEndpoint()?.Metadata.GetMetadata<AnswersSecret>() is not null) await next(http);
            else await idempotency.ServeAsync(http, caller, next);
        }
        catch (BadHttpRequestException ex) when (!http.Response.HasStarted)
        {
            await RefuseAsync(http, ex.StatusCode == StatusCodes.Status413PayloadTooLarge ? ErrorCode.PayloadTooLarge : ErrorCode.InvalidPayload, "The body is not as it should be.");
            return;
        }
        catch (ChannelsFullException) when (!http.Response.HasStarted)
        {
            await RefuseAsync(http, ErrorCode.Unavailable, "There is no memory for one more channel.", TimeSpan.FromSeconds(1));
            return;
        }
        catch (Exception ex) when (DatabaseUnavailableException.Is(ex) && !http.Response.HasStarted)
        {
            // Known to the health check, which names it; a line for each request would help nobody.
            LogUnavailable(ex);
            await RefuseAsync(http, ErrorCode.Unavailable, "The database cannot be used right now. Nothing was stored.", TimeSpan.FromSeconds(1));
            return;
        }
        // Where the framework itself refused a body or a parameter, it left no word of it.
        if (http.Response is { StatusCode: >= 400 and < 500, HasStarted: false, ContentType: null })
            await RefuseAsync(http, http.Response.StatusCode == StatusCodes.Status413PayloadTooLarge ? ErrorCode.PayloadTooLarge : ErrorCode.InvalidPayload,
                "The body must be JSON of the form that this address takes, with the content type application/json.");
    }

    // An id may hold a slash, which HTTP servers leave escaped in a path. Where somebody means the three characters, their percent sign is escaped itself.
    static void UnescapeSlashes(HttpContext http)
    {
        const string slash = "%2F";
        var path = http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget.AsSpan();
        if (path.IndexOf('?') is >= 0 and var query) path = path[..query];
        if (!path.Contains(slash, StringComparison.OrdinalIgnoreCase) || path.Contains("%252F", StringComparison.OrdinalIgnoreCase)) return;
        foreach (var (name, value) in http.Request.RouteValues.ToArray())
            if (value is string text) http.Request.RouteValues[name] = text.Replace(slash, "/", StringComparison.OrdinalIgnoreCase);
    }

    async ValueTask<Identified> IdentifyAsync(HttpContext http)
    {
        var authorization = http.Request.Headers.Authorization.ToString();
        var address = http.Connection.RemoteIpAddress;
        if (ApiKeys.In(authorization) is { } text)
        {
            if (await keys.FindAsync(text, http.RequestAborted) is { } key)
                return new Identified(new Caller(null, key.Name, [], address) { KeyId = key.Id, Scopes = key.Scopes, ExpiresAt = key.ExpiresAt }, null, null);
            server.Engine.Addresses.Failed(address);
            return new Identified(null, ErrorCode.Unauthorized, null);
        }
        if (options.UseHostAuthentication) return await identification.OfUserAsync(http.User, address, http.RequestAborted);
        if (BearerIn(authorization) is not { } token) return new Identified(null, ErrorCode.Unauthorized, null);
        var identified = await identification.OfTokenAsync(token, address, http.RequestAborted);
        if (identified.Error == ErrorCode.Unauthorized) server.Engine.Addresses.Failed(address);
        return identified;
    }

    /// <summary>The token that an Authorization header brings (RFC 6750, section 2.1).</summary>
    public static string? BearerIn(string? authorization) =>
        authorization?.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase) == true ? authorization["Bearer ".Length..].Trim() : null;

    [LoggerMessage(EventId = 1, Level = LogLevel.Debug, Message = "A request was answered with unavailable")]
    partial void LogUnavailable(Exception error);

    static Task RefuseAsync(HttpContext http, ErrorCode error, string detail, TimeSpan? retryAfter = null) => Problem.Of(http, error, detail, retryAfter).ExecuteAsync(http);
}
