using System.IO.Compression;
using System.Reflection;
using Microsoft.AspNetCore.Http;

namespace Carillon.SocketIO;

/// <summary>
/// The client library, served under the server's path as Socket.IO servers do: pages load <c>/socket.io/socket.io.js</c>. The files are those of the npm package
/// <c>socket.io-client</c>, taken in when this package is built; the version is their entity tag.
/// </summary>
static class ClientFiles
{
    sealed record File(byte[] Plain, Lazy<byte[]> Gzip, Lazy<byte[]> Brotli, string Type);

    static readonly Dictionary<string, File> Files = Load();
    static readonly string? Version = typeof(ClientFiles).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .FirstOrDefault(a => a.Key == "SocketIOClientVersion")?.Value;

    /// <summary>Answers the request if it is for one of the files.</summary>
    public static async ValueTask<bool> TryServeAsync(HttpContext context, string name)
    {
        if (!Files.TryGetValue(name, out var file) || !(HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method)))
            return false;
        var (request, response) = (context.Request, context.Response);
        var tag = $"\"{Version}\"";
        response.Headers.ETag = tag;
        response.Headers.CacheControl = "public, max-age=0";
        response.Headers.Vary = "Accept-Encoding";
        if (request.Headers.IfNoneMatch.ToString() is { Length: > 0 } known && (known == tag || known == "W/" + tag))
        {
            response.StatusCode = StatusCodes.Status304NotModified;
            return true;
        }

        var accepted = request.Headers.AcceptEncoding.ToString();
        var (body, encoding) = accepted.Contains("br", StringComparison.OrdinalIgnoreCase) ? (file.Brotli.Value, "br")
            : accepted.Contains("gzip", StringComparison.OrdinalIgnoreCase) ? (file.Gzip.Value, "gzip")
            : (file.Plain, null);
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
        foreach (var resource in assembly.GetManifestResourceNames().Where(n => n.StartsWith(folder, StringComparison.Ordinal)))
        {
            using var stream = assembly.GetManifestResourceStream(resource)!;
            var bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            files[resource[folder.Length..]] = new File(bytes,
                new(() => Compress(bytes, s => new GZipStream(s, CompressionLevel.Optimal))),
                new(() => Compress(bytes, s => new BrotliStream(s, CompressionLevel.Optimal))),
                resource.EndsWith(".map", StringComparison.Ordinal) ? "application/json; charset=utf-8" : "application/javascript; charset=utf-8");
        }
        return files;
    }

    static byte[] Compress(byte[] plain, Func<Stream, Stream> encoder)
    {
        using var target = new MemoryStream();
        using (var stream = encoder(target)) stream.Write(plain);
        return target.ToArray();
    }
}
