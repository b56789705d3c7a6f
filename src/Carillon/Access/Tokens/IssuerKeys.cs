using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.Tokens;

namespace Carillon.Access.Tokens;

/// <summary>
/// The keys of the issuer, from the file or the address of the configuration and from nowhere else. They are read when somebody first needs
/// one, and again when they may have
/// changed; while that fails, those that are known go on.
/// </summary>
sealed partial class IssuerKeys : IDisposable
{
    // A look at a file's time stamp costs microseconds; so it is looked at for known keys too, and one that was taken out is gone within
    // this time.
    static readonly TimeSpan FilePause = TimeSpan.FromSeconds(2);

    readonly AccessOptions _options;
    readonly TimeProvider _clock;
    readonly ILogger _logger;
    readonly Uri? _address;
    readonly HttpClient? _http;
    readonly CancellationTokenSource _stopping = new();
    readonly Lock _gate = new();

    volatile KeySet _keys = KeySet.Empty;
    (DateTime Written, long Length) _stamp;
    Task _looking = Task.CompletedTask;
    long? _lookedAt;
    volatile bool _failed;

    public IssuerKeys(AccessOptions options, TimeProvider clock, ILogger logger)
    {
        (_options, _clock, _logger, _address) = (options, clock, logger, options.JwksAddress);
        if (_address is null) return;
        // No redirects: the configured address is the only one that is ever asked.
        _http = new HttpClient(
            new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, PooledConnectionLifetime = TimeSpan.FromMinutes(5) })
        {
            MaxResponseContentBufferSize = KeySet.MaxBytes,
            Timeout = Timeout.InfiniteTimeSpan,   // JwksTimeout, below
        };
        if (_address is { Scheme: "http", IsLoopback: false }) LogInsecure(_address.Host);
    }

    /// <summary>The key that checks a token; null where there is none, or more than one could.</summary>
    public async ValueTask<SecurityKey?> FindAsync(string algorithm, string? id, CancellationToken ct)
    {
        var key = _keys.Choose(algorithm, id);
        if (Look(key is not null) is not { } looking) return key;
        await looking.WaitAsync(ct);
        return _keys.Choose(algorithm, id);
    }

    /// <summary>Reads the keys now, and says what is wrong with them instead of going on with older ones.</summary>
    /// <exception cref="IOException">They cannot be read, or are no key set.</exception>
    public async Task<KeySet> ReadAsync(CancellationToken ct)
    {
        using var deadline = new CancellationTokenSource(_options.JwksTimeout, _clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, ct);
        try
        {
            // JSON is UTF-8 (RFC 8259, section 8.1), whatever charset the answer claims.
            return KeySet.Read(_http is null ? await ReadFileAsync(either.Token)
                : Text(await _http.GetByteArrayAsync(_address, either.Token)));
        }
        catch (OperationCanceledException ex) when (!ct.IsCancellationRequested)
        {
            throw new IOException($"There was no answer within {_options.JwksTimeout.TotalSeconds:0.#} s.", ex);
        }
        catch (Exception ex) when (ex is HttpRequestException or FormatException or UnauthorizedAccessException)
        {
            throw new IOException(ex.Message, ex);
        }
    }

    /// <summary>A task to await before choosing again; null if the choice stands. One fetch serves all concurrent callers.</summary>
    Task? Look(bool known)
    {
        lock (_gate)
        {
            if (_looking.IsCompleted)
            {
                if (_lookedAt is { } last
                    && _clock.GetElapsedTime(last) < Pause(_address is not null, known && !_failed, _options)) return null;
                _lookedAt = _clock.GetTimestamp();
                var stopping = _stopping.Token;
                _looking = Task.Run(() => LookOnceAsync(stopping), CancellationToken.None);
            }
            return known && _address is not null ? null : _looking;   // nobody whose key is known waits for the network
        }
    }

    /// <summary>How long after the last look the next one may be.</summary>
    internal static TimeSpan Pause(bool isAddress, bool content, AccessOptions options) =>
        !isAddress ? FilePause : content ? options.JwksRefresh : options.JwksMinInterval;

    async Task LookOnceAsync(CancellationToken stopping)
    {
        try
        {
            var stamp = _address is null ? Stamp() : default;
            if (_address is null && stamp == _stamp) return;
            var keys = await ReadAsync(stopping);
            (_keys, _stamp, _failed) = (keys, stamp, false);
            if (keys.Keys.Count > 0) LogRead(keys.Keys.Count, keys.LeftOut);
            else LogNoneUsable(keys.LeftOut);
        }
        catch (Exception ex) when (ex is IOException or UnauthorizedAccessException)
        {
            _failed = true;
            LogNotRead(ex.Message, _keys.Keys.Count);
        }
        catch (OperationCanceledException)
        {
            // Disposed meanwhile: nobody needs the keys any more.
        }
    }

    async Task<string> ReadFileAsync(CancellationToken ct)
    {
        if (new FileInfo(_options.Jwks!) is { Exists: true, Length: > KeySet.MaxBytes }) throw new IOException(
            $"The file is larger than {KeySet.MaxBytes} bytes.");
        return await File.ReadAllTextAsync(_options.Jwks!, ct);
    }

    static string Text(byte[] utf8)
    {
        using var reader = new StreamReader(new MemoryStream(utf8), Encoding.UTF8);
        return reader.ReadToEnd();
    }

    // Of the file itself where its name is a link: mounted configuration is replaced by turning links.
    (DateTime, long) Stamp()
    {
        var file = new FileInfo(_options.Jwks!);
        if (file.ResolveLinkTarget(returnFinalTarget: true) is FileInfo target) file = target;
        return file.Exists ? (file.LastWriteTimeUtc, file.Length) : throw new FileNotFoundException("There is no such file.");
    }

    public void Dispose()
    {
        _stopping.Cancel();
        _stopping.Dispose();
        _http?.Dispose();
    }
}
