using Carillon.Access;
using Carillon.Live;
using Carillon.SocketIO;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.Operators;

/// <summary>What operators see and change over HTTP. Nothing of it is open without an API key.</summary>
static class OperatorsApi
{
    public static void Map(IEndpointRouteBuilder endpoints)
    {
        // The key decides, whatever schemes and policies the application has besides.
        var api = endpoints.MapGroup("/api").AllowAnonymous().AddEndpointFilter(GuardAsync);
        Bans.Map(api);
        Limits.Map(api);
    }

    static async ValueTask<object?> GuardAsync(EndpointFilterInvocationContext call, EndpointFilterDelegate next)
    {
        var http = call.HttpContext;
        var keys = http.RequestServices.GetRequiredService<ApiKeys>();
        var addresses = http.RequestServices.GetRequiredService<SocketServer>().Engine.Addresses;
        var address = http.Connection.RemoteIpAddress;
        // Asked before the key is looked at: otherwise guessing would be limited in nothing but its answers.
        if (!addresses.MayTry(address, out var wait)) return Problem.Of(http, ErrorCode.RateLimited, "Too many wrong keys came from this address.", wait);

        var text = ApiKeys.In(http.Request.Headers.Authorization);
        if (text is null || keys.Find(text) is not { } key)
        {
            if (text is not null) addresses.Failed(address);
            http.Response.Headers.WWWAuthenticate = "ApiKey";
            return Problem.Of(http, ErrorCode.Unauthorized, "A valid API key is needed.");
        }
        return keys.TrySpend(key, out wait) ? await next(call) : Problem.Of(http, ErrorCode.RateLimited, "This is more than one key may ask for.", wait);
    }
}
