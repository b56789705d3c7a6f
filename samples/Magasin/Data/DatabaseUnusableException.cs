using Microsoft.Data.Sqlite;

namespace Magasin.Data;

/// <summary>The shop cannot open this database; the message is printed at the start.</summary>
internal sealed class DatabaseUnusableException(string file, Exception why) : Exception(
    $"The shop cannot open its database {file}: {Reason(why)}", why)
{
    static string Reason(Exception why) => why switch
    {
        SqliteException { SqliteErrorCode: 8 } => "it is read-only. The shop must be allowed to write the file and its folder.",
        SqliteException { SqliteErrorCode: 14 } => "there is no such folder, or the shop may not read and write there.",
        SqliteException { SqliteErrorCode: 11 or 26 } => "the file is not an SQLite database, or it is damaged.",
        SqliteException { SqliteErrorCode: 5 or 6 } => "another program holds it.",
        _ => why.Message,
    };
}
