using Microsoft.Extensions.Logging;

namespace Carillon.Access.Tokens;

sealed partial class IssuerKeys
{
    [LoggerMessage(LogLevel.Information, "Read {Count} keys of the issuer of tokens; {LeftOut} were left out")]
    partial void LogRead(int count, int leftOut);

    [LoggerMessage(LogLevel.Warning, "The key set of the issuer of tokens has no key that could check one; {LeftOut} were left out")]
    partial void LogNoneUsable(int leftOut);

    [LoggerMessage(LogLevel.Warning,
        "The keys of the issuer of tokens could not be read: {Reason} Going on with the {Count} that are known")]
    partial void LogNotRead(string reason, int count);

    [LoggerMessage(LogLevel.Warning,
        "The keys of the issuer of tokens come from {Host} without TLS: whoever is in between can put others in their place")]
    partial void LogInsecure(string host);
}
