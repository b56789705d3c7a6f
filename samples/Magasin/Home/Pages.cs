using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.StaticFiles;

namespace Magasin.Home;

/// <summary>The shop's pages, built by Vite into wwwroot: files that carry their hash in the name for ever, index.html never.</summary>
internal static partial class Pages
{
    public static void UsePages(this WebApplication app)
    {
        var policy = PolicyFor(app.Environment.WebRootFileProvider.GetFileInfo("index.html") is { Exists: true, PhysicalPath: { } path }
            ? File.ReadAllText(path) : "");
        app.Use((context, next) =>
        {
            var headers = context.Response.Headers;
            headers.ContentSecurityPolicy = policy;
            headers.XContentTypeOptions = "nosniff";
            headers["Referrer-Policy"] = "no-referrer";
            headers["Cross-Origin-Opener-Policy"] = "same-origin";
            headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()";
            return next(context);
        });
        app.UseDefaultFiles();
        app.UseStaticFiles(new StaticFileOptions { OnPrepareResponse = Cache });
        app.UseRouting();
        // Not a fallback route: that would also answer where a route exists for another method or kind of body.
        app.Use((context, next) => context.GetEndpoint() is null ? ServeAsync(app, context) : next(context));
    }

    // The pages name their screens behind #, but a bookmark or a person may say anything.
    static Task ServeAsync(WebApplication app, HttpContext context)
    {
        var (request, index) = (context.Request, app.Environment.WebRootFileProvider.GetFileInfo("index.html"));
        if (request.Path.StartsWithSegments("/api") || Path.HasExtension(request.Path)
            || !(HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method)))
            return Problems.NotFound("resource").ExecuteAsync(context);
        if (!index.Exists)
            return Results.Text("The shop's pages are not built. Build without -p:SkipWeb=true.\n",
                statusCode: StatusCodes.Status404NotFound).ExecuteAsync(context);
        context.Response.Headers.CacheControl = "no-cache";
        return Results.File(index.PhysicalPath!, "text/html; charset=utf-8", lastModified: index.LastModified).ExecuteAsync(context);
    }

    // Vite writes assets/name-hash.ext: another content is another name.
    static void Cache(StaticFileResponseContext file) =>
        file.Context.Response.Headers.CacheControl =
            file.Context.Request.Path.StartsWithSegments("/assets", StringComparison.Ordinal)
                ? "public, max-age=31536000, immutable" : "no-cache";

    /// <summary>Only what the shop itself serves, and the scripts that stand in its page, by their hash.</summary>
    internal static string PolicyFor(string page)
    {
        var scripts = InlineScript().Matches(page).Select(script =>
            $" 'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(script.Groups[1].Value)))}'");
        return $"default-src 'self'; script-src 'self'{string.Concat(scripts)}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
            + "connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";
    }

    [GeneratedRegex("<script>(.*?)</script>", RegexOptions.Singleline)]
    private static partial Regex InlineScript();
}
