namespace Carillon.Tests;

/// <summary>A clock that stands still until a test moves it.</summary>
sealed class HandDrivenClock : TimeProvider
{
    long ticks = new DateTimeOffset(2026, 1, 5, 8, 0, 0, TimeSpan.Zero).Ticks;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Interlocked.Read(ref ticks);

    public override DateTimeOffset GetUtcNow() => new(Interlocked.Read(ref ticks), TimeSpan.Zero);

    public void Advance(TimeSpan by) => Interlocked.Add(ref ticks, by.Ticks);
}
