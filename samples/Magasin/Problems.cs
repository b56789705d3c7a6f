using System.Text.Json;
using System.Text.RegularExpressions;
using Carillon.Storage;
using Microsoft.Data.Sqlite;

namespace Magasin;

/// <summary>Errors are problem documents (RFC 9457) with a stable code.</summary>
internal static partial class Problems
{
    public static IResult NotFound(string what) =>
        Problem(StatusCodes.Status404NotFound, "not-found", "Not found", $"There is no such {what}.");

    public static IResult Invalid(string why) =>
        Problem(StatusCodes.Status400BadRequest, "invalid-payload", "The request cannot be understood", why);

    public static IResult Conflict(string why) => Problem(StatusCodes.Status409Conflict, "conflict", "Not possible now", why);

    public static IResult Forbidden(string why) => Problem(StatusCodes.Status403Forbidden, "forbidden", "Not allowed", why);

    /// <summary>Whether another program, or another connection, holds what was wanted.</summary>
    public static bool IsBusy(SqliteException ex) => ex.SqliteErrorCode is 5 or 6;

    public static void UseProblems(this WebApplication app)
    {
        var told = 0;
        app.Use((context, next) => AnswerAsync(app, context, next, () =>
        {
            if (Interlocked.Exchange(ref told, 1) == 0) LogGone(app.Logger);
        }));
    }

    static async Task AnswerAsync(WebApplication app, HttpContext context, RequestDelegate next, Action gone)
    {
        try
        {
            await next(context);
            // Routing refuses a method or a kind of body without a word.
            if (context.Response is { HasStarted: false, ContentType: null, StatusCode: 405 or 415 } && context.GetEndpoint() is not null)
                await Told(new BadHttpRequestException("The method is not allowed here.", context.Response.StatusCode))
                    .ExecuteAsync(context);
        }
        catch (BadHttpRequestException ex) when (!context.Response.HasStarted)
        {
            await Told(ex).ExecuteAsync(context);
        }
        catch (SqliteException ex) when (!context.Response.HasStarted && IsBusy(ex))
        {
            LogBusy(app.Logger, ex);
            await Problem(StatusCodes.Status503ServiceUnavailable, "unavailable", "The database is busy",
                "Another program holds the database. Try again.").ExecuteAsync(context);
        }
        catch (Exception ex) when (!context.Response.HasStarted && SqliteOf(ex) is { } sqlite && IsGone(sqlite))
        {
            gone();
            await Problem(StatusCodes.Status503ServiceUnavailable, "unavailable", "The database is gone",
                "The database file is gone; restart the shop.").ExecuteAsync(context);
        }
        catch (DatabaseUnavailableException ex) when (!context.Response.HasStarted)
        {
            LogBusy(app.Logger, ex);
            await Problem(StatusCodes.Status503ServiceUnavailable, "unavailable", "The database cannot be used now", ex.Message)
                .ExecuteAsync(context);
        }
        catch (Exception ex) when (!context.Response.HasStarted && !context.RequestAborted.IsCancellationRequested)
        {
            LogFailed(app.Logger, ex, context.Request.Method, context.Request.Path);
            await Problem(StatusCodes.Status500InternalServerError, "unavailable", "The server failed",
                "The server could not do this. It is written in its log.").ExecuteAsync(context);
        }
    }

    static SqliteException? SqliteOf(Exception ex) => (ex is DatabaseUnavailableException ? ex.InnerException : ex) as SqliteException;

    // The tables are made when the shop opens: a file without them is not the one it opened with; and one that cannot be opened was.
    static bool IsGone(SqliteException ex) =>
        ex.SqliteErrorCode == 14 || (ex.SqliteErrorCode == 1 && OwnTableMissing().IsMatch(ex.Message));

    [GeneratedRegex(@"no such table: (?:main\.)?(?:produits|clients|ventes|lignes|reponses|carillon_\w+)\b")]
    private static partial Regex OwnTableMissing();

    static IResult Told(BadHttpRequestException ex) => ex.StatusCode switch
    {
        StatusCodes.Status413PayloadTooLarge => Problem(ex.StatusCode, "payload-too-large", "Too much", "The request is too large."),
        StatusCodes.Status415UnsupportedMediaType =>
            Problem(ex.StatusCode, "invalid-payload", "Not JSON", "The body must be JSON, sent as application/json."),
        var status => Problem(status, "invalid-payload", "The request cannot be understood", Why(ex)),
    };

    // In words of our own: the framework's name its types and parameters.
    static string Why(BadHttpRequestException ex) =>
        ex.InnerException is JsonException { Path: { Length: > 1 } path } ? $"The body cannot be understood at {path}." :
        ex.InnerException is JsonException || ex.Message.StartsWith("Implicit body", StringComparison.Ordinal)
            ? "The body must be a JSON object." : ex.Message;

    static IResult Problem(int status, string code, string title, string detail) =>
        Results.Problem(statusCode: status, title: title, detail: detail, extensions: new Dictionary<string, object?> { ["code"] = code });

    [LoggerMessage(LogLevel.Warning, "The database was busy for too long")]
    static partial void LogBusy(ILogger logger, Exception ex);

    [LoggerMessage(LogLevel.Error, "The database file was removed or replaced while the shop was open. Restart the shop")]
    static partial void LogGone(ILogger logger);

    [LoggerMessage(LogLevel.Error, "{Method} {Path} failed")]
    static partial void LogFailed(ILogger logger, Exception ex, string method, string path);
}
