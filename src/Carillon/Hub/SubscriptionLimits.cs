namespace Carillon.Hub;

/// <summary>How many channels a connection may join, and how many missed publications a channel replays.</summary>
sealed record SubscriptionLimits(int MaxSubscriptions, int MaxRecovered);
