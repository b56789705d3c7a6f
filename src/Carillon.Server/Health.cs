using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Carillon.Server;

/// <summary>Whether the process serves (<c>live</c>), and whether clients should be sent to it (<c>ready</c>).</summary>
static class Health
{
    public static void Map(WebApplication app)
    {
        // A process that answers lives: restarting it would mend nothing that a check can find.
        app.MapHealthChecks("/health/live", new HealthCheckOptions { Predicate = _ => false, ResponseWriter = WriteAsync });
        app.MapHealthChecks("/health/ready", new HealthCheckOptions { ResponseWriter = WriteAsync });
    }

    static Task WriteAsync(HttpContext http, HealthReport report) => http.Response.WriteAsJsonAsync(new
    {
        status = Name(report.Status),
        checks = report.Entries.ToDictionary(check => check.Key, check =>
            new { status = Name(check.Value.Status), description = check.Value.Description }),
    });

    static string Name(HealthStatus status) => status.ToString().ToLowerInvariant();
}
