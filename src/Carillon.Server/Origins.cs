using Microsoft.AspNetCore.Cors.Infrastructure;

namespace Carillon.Server;

/// <summary>Which web pages of other origins may call the HTTP API: those that may connect.</summary>
static class Origins
{
    public static void Allow(CorsPolicyBuilder policy, IReadOnlyList<string> origins)
    {
        if (origins.Contains("*")) policy.AllowAnyOrigin();
        else policy.WithOrigins([.. origins]);
        policy.AllowAnyMethod().WithHeaders("Authorization", "Content-Type", "Idempotency-Key")
            .WithExposedHeaders("Retry-After", "WWW-Authenticate")
            .SetPreflightMaxAge(TimeSpan.FromHours(1));
    }
}
