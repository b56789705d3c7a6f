using Carillon.Access;
using Carillon.Audit;
using Carillon.Channels;
using Carillon.SocketIO.Sockets;
using Carillon.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Carillon.Api;

/// <summary>
/// Stands before every endpoint of <c>/api</c>: who calls, whether they may, whether they have enough of their share left. It comes before
/// anything of the request is read.
/// </summary>
sealed partial class Guard(
    AccessOptions options, Authenticator authenticator, ApiKeys keys, AuditLog audit, SocketServer server, ApiRateLimiter shares,
        Idempotency idempotency, StorageGate gate,
    TimeProvider clock, ILogger<Guard> logger)
{
    const int MaxBody = 1_000_000;

    // Bytes of JSON become objects, copies and answers; this many times as much was the most that a publication held at once.
    const int Unfolded = 4;

    // Long enough for a body of the greatest length over 150 kbit/s; each small one comes in one piece.
    internal static readonly TimeSpan BodyWithin = TimeSpan.FromMinutes(1);

    internal BodyBudget Bodies { get; set; } = new(MemoryShare.OneIn(8), Math.Max(MemoryShare.OneIn(8) / 4, Unfolded * MaxBody));

    /// <summary>The group of all endpoints of Carillon's API.</summary>
    public static RouteGroupBuilder Map(IEndpointRouteBuilder endpoints)
    {
        // The token or key decides, whatever schemes and policies the application has besides.
        var api = endpoints.MapGroup("/api").AllowAnonymous().ProducesProblem(StatusCodes.Status400BadRequest)
            .ProducesProblem(StatusCodes.Status401Unauthorized)
            .ProducesProblem(StatusCodes.Status403Forbidden).ProducesProblem(StatusCodes.Status429TooManyRequests);
        ((IEndpointConventionBuilder)api).Finally(endpoint =>
        {
            var need = endpoint.Metadata.OfType<EndpointPolicy>().LastOrDefault()
                ?? throw new InvalidOperationException($"{endpoint.DisplayName} does not say who may call it.");
            var next = endpoint.RequestDelegate!;
            endpoint.RequestDelegate = http => http.RequestServices.GetRequiredService<Guard>().PassAsync(http, need, next);
        });
        return api;
    }

    async Task PassAsync(HttpContext http, EndpointPolicy need, RequestDelegate next)
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
            await RefuseAsync(http, error, error == ErrorCode.Unauthorized ? $"This needs a valid Authorization header: {need.Schemes}."
                : error.Message);
            return;
        }
        if (!shares.TryAcquire(caller, out wait))
        {
            await RefuseAsync(http, ErrorCode.RateLimited, ErrorCode.RateLimited.Message, wait);
            return;
        }
        http.Features.Set(caller);
        UnescapeSlashes(http);
        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size) size.MaxRequestBodySize = MaxBody;
        try
        {
            if (!need.Admits(caller)) await RefuseAsync(http, ErrorCode.Forbidden, ErrorCode.Forbidden.Message);
            // Administrators get through whatever the others do: revoking a token must not wait for memory.
            else if (need.IsAdministrative) await ServeAsync(http, caller, next);
            else await ServeWithinMemoryAsync(http, caller, next);
        }
        finally
        {
            // The guard refuses all callers of this kind, a handler this one for this channel.
            if (http.Response.StatusCode == StatusCodes.Status403Forbidden) NoteForbidden(http, caller);
        }
    }

    // The bodies of all requests together, by what they say before they are read.
    async Task ServeWithinMemoryAsync(HttpContext http, Caller caller, RequestDelegate next)
    {
        var bytes = Unfolded * Math.Min(http.Request.ContentLength
            ?? (http.Features.Get<IHttpRequestBodyDetectionFeature>()?.CanHaveBody == false ? 0 : MaxBody), MaxBody);
        if (!Bodies.TryTake(caller.Actor!, bytes, isShared: caller.KeyId is not null))
        {
            await RefuseAsync(http, ErrorCode.Unavailable, "Too many large requests are being handled.", TimeSpan.FromSeconds(1));
            return;
        }
        try
        {
            await ServeAsync(http, caller, next);
        }
        finally
        {
            Bodies.GiveBack(caller.Actor!, bytes);
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
            if (!await IsWritableAsync(http))
                await RefuseAsync(http, ErrorCode.InvalidPayload,
                    "The body holds text that is not valid Unicode, such as a lone surrogate.");
            else if (http.GetEndpoint()?.Metadata.GetMetadata<AnswersSecret>() is not null) await next(http);
            else await idempotency.ServeAsync(http, caller, next);
        }
        catch (BadHttpRequestException ex) when (!http.Response.HasStarted)
        {
            await RefuseAsync(http, ex.StatusCode == StatusCodes.Status413PayloadTooLarge ? ErrorCode.PayloadTooLarge
                : ErrorCode.InvalidPayload,
                ex.StatusCode == StatusCodes.Status408RequestTimeout
                    ? $"The body did not arrive within {BodyWithin.TotalSeconds} seconds." : "The body is not as it should be.");
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
            await RefuseAsync(http, ErrorCode.Unavailable, "The database cannot be used right now. Nothing was stored.",
                TimeSpan.FromSeconds(1));
            return;
        }
        // Where the framework itself refused a body or a parameter, it left no word of it.
        if (http.Response is { StatusCode: >= 400 and < 500, HasStarted: false, ContentType: null })
            await RefuseAsync(http, http.Response.StatusCode == StatusCodes.Status413PayloadTooLarge ? ErrorCode.PayloadTooLarge
                : ErrorCode.InvalidPayload,
                "The body must be JSON of the form that this address takes, with the content type application/json.");
    }

    // A body that arrives drop by drop holds its share of the memory no longer than a whole one on a slow line.
    async ValueTask<bool> IsWritableAsync(HttpContext http)
    {
        if (!JsonBody.MayCome(http)) return true;
        using var limit = new CancellationTokenSource(BodyWithin, clock);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, http.RequestAborted);
        try
        {
            return await JsonBody.IsWritableAsync(http, both.Token);
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            throw new BadHttpRequestException("The body did not arrive in time.", StatusCodes.Status408RequestTimeout);
        }
    }

    // An id may hold a slash, which HTTP servers leave escaped in a path. Where somebody means the three characters, their percent sign is
    // escaped itself.
    static void UnescapeSlashes(HttpContext http)
    {
        const string slash = "%2F";
        var path = http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget.AsSpan();
        if (path.IndexOf('?') is >= 0 and var query) path = path[..query];
        if (!path.Contains(slash, StringComparison.OrdinalIgnoreCase) || path.Contains("%252F", StringComparison.OrdinalIgnoreCase)) return;
        foreach (var (name, value) in http.Request.RouteValues.ToArray())
            if (value is string text) http.Request.RouteValues[name] = text.Replace(slash, "/", StringComparison.OrdinalIgnoreCase);
    }

    async ValueTask<IdentityResult> IdentifyAsync(HttpContext http)
    {
        var authorization = http.Request.Headers.Authorization.ToString();
        var address = http.Connection.RemoteIpAddress;
        if (ApiKeys.In(authorization) is { } text)
        {
            if (await keys.FindAsync(text, http.RequestAborted) is { } key)
                return new IdentityResult(
                    new Caller(null, key.Name, [], address) { KeyId = key.Id, Scopes = key.Scopes, ExpiresAt = key.ExpiresAt }, null, null);
            server.Engine.Addresses.Failed(address);
            return new IdentityResult(null, ErrorCode.Unauthorized, null);
        }
        if (options.UseHostAuthentication) return await authenticator.AuthenticateUserAsync(http.User, address, http.RequestAborted);
        if (BearerIn(authorization) is not { } token) return new IdentityResult(null, ErrorCode.Unauthorized, null);
        var identified = await authenticator.AuthenticateTokenAsync(token, address, http.RequestAborted);
        if (identified.Error == ErrorCode.Unauthorized) server.Engine.Addresses.Failed(address);
        return identified;
    }

    /// <summary>The token that an Authorization header brings (RFC 6750, section 2.1).</summary>
    public static string? BearerIn(string? authorization) =>
        authorization?.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase) == true ? authorization["Bearer ".Length..].Trim() : null;

    [LoggerMessage(EventId = 1, Level = LogLevel.Debug, Message = "A request was answered with unavailable")]
    partial void LogUnavailable(Exception error);

    static Task RefuseAsync(HttpContext http, ErrorCode error, string detail, TimeSpan? retryAfter = null) =>
        Problem.Of(http, error, detail, retryAfter).ExecuteAsync(http);
}
