using System.IO.Compression;
using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;
using Carillon.SocketIO.Engine;
using Microsoft.AspNetCore.Http;

namespace Carillon.SocketIO.Hosting;

/// <summary>
/// The client library, served under the server's path as Socket.IO servers do: pages load <c>/socket.io/socket.io.js</c>. The files are
/// those of the npm package
/// <c>socket.io-client</c>, taken in when this package is built; their version is the entity tag.
/// </summary>
static partial class ClientFiles
{
    sealed record File(byte[] Plain, Lazy<byte[]> Gzip, Lazy<byte[]> Brotli, string Type, string Version);

    static readonly Dictionary<string, File> Files = Load();

    /// <summary>Answers the request if it is for one of the files.</summary>
    public static async ValueTask<bool> TryServeAsync(HttpContext context, string name)
    {
        if (!Files.TryGetValue(name, out var file)
            || !(HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method)))
            return false;
        var (request, response) = (context.Request, context.Response);
        var tag = $"\"{file.Version}\"";
        response.Headers.ETag = tag;
        response.Headers.CacheControl = "public, max-age=0";
        response.Headers.Append("Vary", "Accept-Encoding");
        if (request.Headers.IfNoneMatch.ToString() is { Length: > 0 } known && (known == tag || known == "W/" + tag))
        {
            response.StatusCode = StatusCodes.Status304NotModified;
            return true;
        }

        var encoding = ContentCoding.Choose(request.Headers.AcceptEncoding.ToString(), "br", "gzip");
        var body = encoding switch
        {
            "br" => file.Brotli.Value,
            "gzip" => file.Gzip.Value,
            _ => file.Plain,
        };
        if (encoding is not null) response.Headers.ContentEncoding = encoding;
        response.ContentType = file.Type;
        response.ContentLength = body.Length;
        if (HttpMethods.IsGet(request.Method)) await response.Body.WriteAsync(body, context.RequestAborted);
        return true;
    }

    static Dictionary<string, File> Load()
    {
        const string folder = "client-dist/";
        var assembly = typeof(ClientFiles).Assembly;
        Dictionary<string, File> files = [];
        var version = VersionOf(assembly);
        foreach (var resource in assembly.GetManifestResourceNames().Where(n => n.StartsWith(folder, StringComparison.Ordinal)))
        {
            using var stream = assembly.GetManifestResourceStream(resource)!;
            var bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            files[resource[folder.Length..]] = new File(bytes,
                new(() => Compress(bytes, s => new GZipStream(s, CompressionLevel.Optimal))),
                new(() => Compress(bytes, s => new BrotliStream(s, CompressionLevel.Optimal))),
                resource.EndsWith(".map", StringComparison.Ordinal)
                    ? "application/json; charset=utf-8" : "application/javascript; charset=utf-8",
                version);
        }
        return files;
    }

    // Each script begins with a comment such as "Socket.IO v4.8.4".
    static string VersionOf(Assembly assembly)
    {
        using var stream = assembly.GetManifestResourceStream("client-dist/socket.io.js");
        if (stream is null) return "";
        var start = new byte[200];
        var length = stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
        return VersionPattern().Match(Encoding.UTF8.GetString(start, 0, length)) is { Success: true } match ? match.Groups[1].Value : "";
    }

    [GeneratedRegex(@"Socket\.IO v([0-9][0-9A-Za-z.-]*)")]
    private static partial Regex VersionPattern();

    static byte[] Compress(byte[] plain, Func<Stream, Stream> encoder)
    {
        using var target = new MemoryStream();
        using (var stream = encoder(target)) stream.Write(plain);
        return target.ToArray();
    }
}
