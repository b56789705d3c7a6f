using Carillon.Storage;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Carillon.Hosting;

/// <summary>The health check <c>carillon</c>: whether this node should be sent clients.</summary>
internal sealed class Readiness(Database db, WriteProbe writes, FreeSpace space, StorageGate gate, TimeProvider clock) : IHealthCheck
{
    volatile bool _isStopping;
    long _stoppingSince;

    /// <summary>Whether the server is about to stop.</summary>
    public bool IsStopping => _isStopping;

    /// <summary>How long it has been stopping.</summary>
    public TimeSpan StoppingFor => _isStopping ? clock.GetElapsedTime(_stoppingSince) : TimeSpan.Zero;

    public void Stop()
    {
        _stoppingSince = clock.GetTimestamp();
        _isStopping = true;
    }

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        if (_isStopping) return new(context.Registration.FailureStatus, "The server is about to stop.");
        if (!gate.IsOpen) return new(context.Registration.FailureStatus, $"Clients are not served yet. {gate.WaitsFor}");
        try
        {
            await db.QuerySingleOrDefaultAsync<int>("SELECT count(*) FROM carillon_migrations", ct: cancellationToken);
        }
        catch (Exception ex) when (!cancellationToken.IsCancellationRequested)
        {
            return new(context.Registration.FailureStatus, "The database cannot be read.", ex);
        }
        return await writes.FindFaultAsync().WaitAsync(cancellationToken) is { } fault
            ? new(context.Registration.FailureStatus, $"Writes fail; reads and live delivery go on. {fault}")
            : space.Warning is { } warning ? HealthCheckResult.Degraded(warning) : HealthCheckResult.Healthy("Clients are served.");
    }
}
