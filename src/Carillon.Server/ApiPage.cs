using Scalar.AspNetCore;

namespace Carillon.Server;

/// <summary>A page on which people read and try the HTTP API. Everything on it comes from this server.</summary>
static class ApiPage
{
    const string Path = "/docs";

    public static void Map(WebApplication app)
    {
        app.UseWhen(http => http.Request.Path.StartsWithSegments(Path), page => page.Use(static (http, next) =>
        {
            // The page's script knows hosts of its maker, for fonts, a proxy and statistics. No browser of ours asks them.
            http.Response.Headers.ContentSecurityPolicy =
                "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
                + "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
            return next(http);
        }));
        app.MapScalarApiReference(Path, static page =>
        {
            page.Title = "Carillon";
            page.HideClientButton = true;
            page.ShowDeveloperTools = DeveloperToolsVisibility.Never;
            page.Mcp = new ScalarMcpOptions { Disabled = true };
            page.DisableDefaultFonts().DisableTelemetry().DisableAgent();
        });
    }
}
