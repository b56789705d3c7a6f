using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Carillon.Changes;

/// <summary>The health check <c>changes</c>: whether the changes of the live tables are announced.</summary>
internal sealed class ChangesHealth(ChangePump pump, LiveTables tables) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(
        pump.Trouble is { } trouble
            ? new HealthCheckResult(context.Registration.FailureStatus, $"The database cannot be followed. {trouble}") :
        tables.Warning is { } warning ? HealthCheckResult.Degraded(warning) :
        HealthCheckResult.Healthy("Changes are announced."));
}
