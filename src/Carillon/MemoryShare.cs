namespace Carillon;

/// <summary>Parts of the memory that the process may use, as its container, its machine or <c>DOTNET_GCHeapHardLimit</c> says.</summary>
static class MemoryShare
{
    // Below this nothing useful could be held; such a process has other troubles.
    const long Least = 4L << 20;

    public static long OneIn(int parts) => Math.Max(Least, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / parts);
}
