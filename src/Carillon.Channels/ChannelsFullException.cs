namespace Carillon.Channels;

/// <summary>There is no memory for one more channel, subscription or publication. The same call may succeed later.</summary>
/// <param name="message">What there is no room for.</param>
public sealed class ChannelsFullException(string message) : Exception(message);
