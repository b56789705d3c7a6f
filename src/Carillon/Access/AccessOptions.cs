namespace Carillon.Access;

/// <summary>The treatment of a valid token whose user is not in the directory.</summary>
public enum UnknownUsers
{
    /// <summary>It is refused with <c>unknown-user</c>: a back end fills the directory.</summary>
    Refuse,

    /// <summary>The user is entered on first sight, with the name that the token says. Deleted users are refused all the same.</summary>
    Create,
}

/// <summary>Authentication, API keys, quotas and the audit log.</summary>
public sealed partial class AccessOptions
{
    // CarillonOptions.AllowAnonymous.
    internal bool AllowAnonymous { get; set; }

    /// <summary>
    /// The keys with which back ends and administrators call the HTTP API (<c>Authorization: ApiKey …</c>), each with every right. More,
    /// with fewer rights, can be made by
    /// <c>POST /api/keys</c>.
    /// </summary>
    public IList<string> ApiKeys { get; set; } = [];

    internal const int LongestApiKey = 1000;

    /// <summary>How many requests one key may make in a second: 5,000, above what one process can answer to a single back end.</summary>
    public int RequestsPerSecondPerKey { get; set; } = 5000;

    /// <summary>How many requests one key may make at once after a pause: 10,000, a back end that works off its backlog.</summary>
    public int RequestBurstPerKey { get; set; } = 10_000;

    /// <summary>How many HTTP requests one user may make in a second: 200, many more than a page makes.</summary>
    public int RequestsPerSecondPerUser { get; set; } = 200;

    /// <summary>
    /// How many HTTP requests one user may make at once after a pause: 1,000, enough for all pages of a person to reload.
    /// </summary>
    public int RequestBurstPerUser { get; set; } = 1000;

    /// <summary>
    /// The treatment of users who are not in the directory. By default they are refused: a token alone does not create a user.
    /// </summary>
    public UnknownUsers UnknownUsers { get; set; }

    /// <summary>
    /// The application's own authentication (any scheme of ASP.NET Core) identifies the user, instead of a token of Carillon's:
    /// <c>sub</c> or the name identifier, the name and the
    /// roles of the request's user. Off. WebSocket handshakes then pass through HTTP, where that authentication sees them.
    /// </summary>
    public bool UseHostAuthentication { get; set; }

    /// <summary>The roles that may administer: see the audit log, keys and bans. <c>admin</c>.</summary>
    public IList<string> AdminRoles { get; set; } = ["admin"];

    /// <summary>
    /// Whether the <c>capabilities</c> of tokens count: rights beside those that areas grant, as far as <c>{"*":["*"]}</c>, which is every
    /// right to every channel and the right to administer. On:
    /// the issuer of tokens is trusted with that. Turn it off where the issuer lets people influence the claims of their tokens.
    /// </summary>
    public bool TokenCapabilities { get; set; } = true;

    /// <summary>
    /// How long a connection may go on after its token has expired: 15 seconds, in which the client is told and can send
    /// <c>token:refresh</c>.
    /// </summary>
    public TimeSpan ExpiryGrace { get; set; } = TimeSpan.FromSeconds(15);

    /// <summary>
    /// How long a ticket of <c>POST /api/tickets</c> is good for: 30 seconds, the time between asking for it and connecting.
    /// </summary>
    public TimeSpan TicketLifetime { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Whether connections need a ticket, which is good once. Off: a token may be used for any number of connections until it expires. On,
    /// a token asks for tickets over HTTP and
    /// opens no connection, and what a connection brought is worth nothing to who overheard it.
    /// </summary>
    public bool RequireTickets { get; set; }

    /// <summary>How long entries of the audit log are kept: 90 days.</summary>
    public TimeSpan AuditRetention { get; set; } = TimeSpan.FromDays(90);

    /// <summary>
    /// How many entries the audit log holds: 2,000,000, some 400 MB. Beyond it the oldest are deleted, however young they are.
    /// </summary>
    public long AuditMaxEntries { get; set; } = 2_000_000;

    /// <summary>
    /// How long the id of a revoked token is kept at least: 400 days. A token that was issued longer ago is refused as expired, so that no
    /// revoked token becomes valid again. Older ids are
    /// deleted where there are more than a million, because the age of a token without <c>iat</c> is not known.
    /// </summary>
    public TimeSpan RevocationRetention { get; set; } = TimeSpan.FromDays(400);

    /// <summary>Beyond so many, ids of revoked tokens older than the retention are deleted: some 100 MB.</summary>
    internal int MaxRevokedTokens { get; set; } = 1_000_000;

    /// <summary>Whether a token is so old that its revocation may have been deleted.</summary>
    internal bool OutlivesRevocation(DateTimeOffset? issuedAt, DateTimeOffset now) => now - issuedAt > RevocationRetention;

    /// <summary>How many tickets one user may ask for in a day: 5,000. Zero is no limit.</summary>
    public int TicketsPerDay { get; set; } = 5_000;

    /// <summary>
    /// How many writes with an <c>Idempotency-Key</c> one user may make in a day: 5,000. Zero is no limit. API keys have none.
    /// </summary>
    public int IdempotencyKeysPerDay { get; set; } = 5_000;

    /// <summary>How many API keys one user who administers may make in a day: 100. Zero is no limit. API keys have none.</summary>
    public int KeysPerDay { get; set; } = 100;

    /// <summary>
    /// How many memberships one user who manages channels may change in a day: 5,000. Zero is no limit. API keys have none.
    /// </summary>
    public int MembershipsPerDay { get; set; } = 5_000;

    /// <summary>Says what is wrong with these options, for a person; null where nothing is.</summary>
    internal string? Problem() =>
        ApiKeys.Any(string.IsNullOrWhiteSpace) ? "An API key must not be empty." :
        ApiKeys.Any(key => key.Length > LongestApiKey) ? $"An API key has at most {LongestApiKey} characters." :
        RequestsPerSecondPerKey < 0 || RequestBurstPerKey < 0 || RequestsPerSecondPerUser < 0 || RequestBurstPerUser < 0
            ? "Limits of requests must not be negative; zero is no limit." :
        ExpiryGrace < TimeSpan.Zero ? "ExpiryGrace must not be negative." :
        TicketLifetime <= TimeSpan.Zero ? "TicketLifetime must be longer than zero." :
        AuditRetention <= TimeSpan.Zero ? "AuditRetention must be longer than zero." :
        AuditMaxEntries < 1000 ? "AuditMaxEntries must be at least 1,000." :
        RevocationRetention < TimeSpan.FromDays(1) ? "RevocationRetention must be at least a day." :
        TicketsPerDay < 0 || IdempotencyKeysPerDay < 0 || KeysPerDay < 0 || MembershipsPerDay < 0
            ? "Quotas must not be negative; zero is no limit." :
        TokenProblem();
}
