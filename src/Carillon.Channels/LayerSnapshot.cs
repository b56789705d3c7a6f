namespace Carillon.Channels;

/// <summary>What a layer remembers, so that it can be taken elsewhere: over a restart that was planned.</summary>
/// <param name="Origin">What the epochs of channels without publications are made of: they have positions too.</param>
/// <param name="Channels">The channels that had publications.</param>
public sealed record LayerSnapshot(SnapshotOrigin Origin, IReadOnlyList<ChannelSnapshot> Channels);

/// <summary>What the epochs of channels without publications are made of.</summary>
/// <param name="Start">The process that the first of them began in.</param>
/// <param name="Generations">How often channels were forgotten since, by the buckets of their names.</param>
public sealed record SnapshotOrigin(string Start, IReadOnlyList<int> Generations);

/// <summary>What a layer remembers of one channel, so that it can be taken elsewhere: over a restart that was planned.</summary>
/// <param name="Channel">The channel's name.</param>
/// <param name="Epoch">The history that its offsets count in.</param>
/// <param name="Offset">How many publications it has had in this epoch.</param>
/// <param name="Publications">The latest of them, oldest first and without a gap up to <paramref name="Offset"/>.</param>
public sealed record ChannelSnapshot(string Channel, string Epoch, long Offset, IReadOnlyList<PublicationSnapshot> Publications);

/// <summary>A publication that is kept.</summary>
/// <param name="Publication">The publication.</param>
/// <param name="Until">When it is to be forgotten, UTC: it ages while nobody keeps it in memory.</param>
public sealed record PublicationSnapshot(Publication Publication, DateTimeOffset Until);
