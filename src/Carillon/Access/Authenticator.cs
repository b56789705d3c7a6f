using System.Net;
using System.Security.Claims;
using Carillon.Access.Tokens;
using Carillon.Diagnostics;
using Microsoft.Extensions.Logging;

namespace Carillon.Access;

/// <summary>The authenticated caller, or the reason for a refusal.</summary>
/// <param name="Caller">A known user.</param>
/// <param name="Error">Why not.</param>
/// <param name="Subject">The user that a valid token named, though it was refused.</param>
readonly record struct IdentityResult(Caller? Caller, ErrorCode? Error, string? Subject);

/// <summary>Authenticates callers: first the token, then the stored data about it and its user.</summary>
sealed partial class Authenticator(
    TokenValidator tokens, Tickets tickets, UserDirectory directory, AccessOptions options, TimeProvider clock,
    ILogger<Authenticator> logger)
{
    /// <summary>Authenticates a client that opens a connection.</summary>
    public async ValueTask<IdentityResult> AuthenticateConnectionAsync(
        string? text, ClaimsPrincipal user, IPAddress? address, CancellationToken ct)
    {
        if (Tickets.IsTicket(text)) return await OfAsync(await tickets.RedeemAsync(text!, ct), address, ct);
        if (options.RequireTickets) return await OfAsync(TokenResult.Refused("A ticket is needed."), address, ct);
        return options.UseHostAuthentication
            ? await AuthenticateUserAsync(user, address, ct) : await AuthenticateTokenAsync(text, address, ct);
    }

    /// <summary>Authenticates a token over HTTP, or a newer one on an open connection.</summary>
    public async ValueTask<IdentityResult> AuthenticateTokenAsync(string? text, IPAddress? address, CancellationToken ct) =>
        await OfAsync(await tokens.ValidateAsync(text, ct), address, ct);

    /// <summary>Authenticates a user whom the application itself has signed in.</summary>
    public async ValueTask<IdentityResult> AuthenticateUserAsync(ClaimsPrincipal user, IPAddress? address, CancellationToken ct) =>
        await OfAsync(HostPrincipal.Of(user, clock.GetUtcNow()) is { } token ? TokenResult.Valid(token)
            : TokenResult.Refused("Nobody is signed in."), address, ct);

    /// <summary>Authenticates a connected caller again.</summary>
    public ValueTask<(Caller? Caller, ErrorCode? Error)> ReauthenticateAsync(Caller caller, CancellationToken ct) =>
        directory.LookUpAsync(caller.Token!, caller.Address, ct);

    async ValueTask<IdentityResult> OfAsync(TokenResult reading, IPAddress? address, CancellationToken ct)
    {
        if (reading.Token is not { } token)
        {
            LogRefused(address, reading.Error!.Code, reading.Reason);
            ProductMeters.RejectedToken(reading.Error);
            return new IdentityResult(null, reading.Error, null);
        }
        var (caller, error) = await directory.LookUpAsync(token, address, ct);
        if (error is not null) ProductMeters.RejectedToken(error);
        return new IdentityResult(caller, error, token.Subject);
    }

    // For debugging; the client receives only the code, and a flood should not fill the log.
    [LoggerMessage(Level = LogLevel.Debug, Message = "A token from {Address} was refused as {Code}: {Reason}")]
    partial void LogRefused(IPAddress? address, string code, string? reason);
}
