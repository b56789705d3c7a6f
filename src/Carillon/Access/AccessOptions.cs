namespace Carillon.Access;

/// <summary>Who may use what Carillon offers over HTTP.</summary>
public sealed partial class AccessOptions
{
    /// <summary>
    /// The keys with which back ends and administrators call the HTTP API (<c>Authorization: ApiKey …</c>), each with every right. None: then nobody gets in.
    /// </summary>
    public IList<string> ApiKeys { get; set; } = [];

    /// <summary>How many requests one key may make in a second: 5,000, above what one process can answer to a single back end.</summary>
    public int RequestsPerSecondPerKey { get; set; } = 5000;

    /// <summary>How many requests one key may make at once after a pause: 10,000, a back end that works off its backlog.</summary>
    public int RequestBurstPerKey { get; set; } = 10_000;

    /// <summary>Says what is wrong with these options, for a person; null where nothing is.</summary>
    internal string? Problem() =>
        ApiKeys.Any(string.IsNullOrWhiteSpace) ? "An API key must not be empty." :
        RequestsPerSecondPerKey < 0 || RequestBurstPerKey < 0 ? "Limits of requests must not be negative; zero is no limit." :
        null;
}
