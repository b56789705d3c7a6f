namespace Carillon.Channels;

/// <summary>How much it matters that a message arrives, and soon.</summary>
public enum Importance
{
    /// <summary>Promotions and the like: the first that is dropped when a client or the server cannot keep up.</summary>
    Marketing,

    /// <summary>The usual.</summary>
    Informative,

    /// <summary>What somebody waits for.</summary>
    Important,

    /// <summary>Overtakes everything else that waits for the same client, except earlier messages of its own stream.</summary>
    Critical,
}
