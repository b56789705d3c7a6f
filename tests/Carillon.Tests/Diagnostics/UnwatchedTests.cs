using Carillon.Diagnostics;

namespace Carillon.Tests.Diagnostics;

/// <summary>Runs without other tests beside it: those that listen do so for the whole process.</summary>
[CollectionDefinition(nameof(UnwatchedTests), DisableParallelization = true)]
[Collection(nameof(UnwatchedTests))]
public class UnwatchedTests
{
    [Fact]
    public void Meters_and_traces_allocate_nothing_while_nobody_listens()
    {
        Assert.False(ProductTraces.IsOn);
        Publish();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++) Publish();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        static void Publish()
        {
            using var publish = ProductTraces.Publish("orders:{id}");
            using var change = ProductTraces.PublishChange("changes:{table}", DateTimeOffset.UnixEpoch);
            using var deliver = ProductTraces.Deliver("orders:{id}");
            ProductMeters.Published("orders:{id}");
            ProductMeters.Delivered("orders:{id}", 1000);
            ProductMeters.Pumped(DateTimeOffset.UnixEpoch, TimeProvider.System);
            ProductMeters.CaughtUp("orders:{id}", recovered: true);
            ProductMeters.Refused(ErrorCode.Forbidden, "event");
        }
    }
}
