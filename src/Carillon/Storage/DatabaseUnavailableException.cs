using System.Data.Common;
using Microsoft.Data.Sqlite;

namespace Carillon.Storage;

/// <summary>
/// The database cannot be written, or cannot be read, for a reason outside the request: the disk is full or fails, another program holds
/// the lock, the file may not be written. The same
/// request may succeed later. Over HTTP and in acknowledgements it is the code <c>unavailable</c>.
/// </summary>
public sealed class DatabaseUnavailableException : DbException
{
    /// <summary>Says what stands in the way.</summary>
    /// <param name="message">A sentence for an operator; it holds no data of the request.</param>
    /// <param name="innerException">The error that SQLite reported, if any.</param>
    public DatabaseUnavailableException(string message, Exception? innerException = null) : base(message, innerException)
    {
    }

    /// <inheritdoc/>
    public override bool IsTransient => true;

    /// <summary>Whether a fault lies with the disk, the file or its locks, and not with the statement.</summary>
    internal static bool Is(Exception exception) =>
        exception is DatabaseUnavailableException || (exception is SqliteException sqlite && ReasonOf(sqlite) is not null);

    /// <summary>The fault in words (result codes of SQLite, section 3 of rescode.html); null where the statement itself is wrong.</summary>
    internal static string? ReasonOf(SqliteException exception) => exception.SqliteErrorCode switch
    {
        5 or 6 => "another program holds its lock",
        7 => "there is no memory for it",
        8 => "it may not be written",
        10 => "the disk reports an error",
        13 => "the disk is full",
        14 => "it cannot be opened",
        15 => "its locks cannot be taken",
        _ => null,
    };
}
