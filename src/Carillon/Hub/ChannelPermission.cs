namespace Carillon.Hub;

/// <summary>What may be done with a channel. Each is granted by itself (<see cref="Area"/>).</summary>
enum ChannelPermission
{
    /// <summary>To join it, and hear its publications.</summary>
    Subscribe,

    /// <summary>To publish to it.</summary>
    Publish,

    /// <summary>To see who is there.</summary>
    Presence,

    /// <summary>To read what was published.</summary>
    History,

    /// <summary>To administer it.</summary>
    Manage,
}
