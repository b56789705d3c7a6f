using System.Reflection;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Http.Headers;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.Net.Http.Headers;
using Microsoft.OpenApi;

namespace Carillon.Server;

/// <summary>
/// The OpenAPI document of the HTTP API, generated from the endpoints themselves: once, because everybody may ask for it and it takes
/// 50 ms.
/// </summary>
static class Description
{
    const string Name = "v1";

    /// <summary>The program's version, without the mark of its build.</summary>
    public static string Version { get; } =
        typeof(Description).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    public static void Add(IServiceCollection services) =>
        services.AddOpenApi(Name, options => options.AddDocumentTransformer((document, _, _) =>
    {
        document.Info = new OpenApiInfo { Title = "Carillon", Version = Version,
            Description = "What back ends and administrators call. Screens connect over Socket.IO." };
        document.Servers = [];   // wherever the document was found
        document.Components ??= new OpenApiComponents();
        document.Components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>
        {
            ["ApiKey"] = new OpenApiSecurityScheme
            {
                Type = SecuritySchemeType.ApiKey,
                In = ParameterLocation.Header,
                Name = "Authorization",
                Description = "For back ends: `Authorization: ApiKey …`.",
            },
            ["Bearer"] = new OpenApiSecurityScheme
            {
                Type = SecuritySchemeType.Http,
                Scheme = "bearer",
                BearerFormat = "JWT",
                Description = "For people: the token with which they connect.",
            },
        };
        // Either will do; which calls want which one, their descriptions say.
        document.Security =
        [
            new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference("ApiKey", document)] = [] },
            new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference("Bearer", document)] = [] },
        ];
        return Task.CompletedTask;
    }));

    public static void Map(WebApplication app)
    {
        Lock gate = new();
        Task<Document>? building = null;
        app.MapGet($"/openapi/{Name}.json", async (HttpContext http) =>
        {
            var (json, tag) = await DocumentAsync();
            var headers = http.Response.GetTypedHeaders();
            headers.ETag = tag;
            headers.CacheControl = new CacheControlHeaderValue { NoCache = true };     // the next version of the program has another
            if (IsKnown(http.Request.GetTypedHeaders(), tag))
            {
                http.Response.StatusCode = StatusCodes.Status304NotModified;
                return;
            }
            http.Response.ContentType = "application/json;charset=utf-8";
            http.Response.ContentLength = json.Length;
            await http.Response.Body.WriteAsync(json, http.RequestAborted);
        }).ExcludeFromDescription();

        Task<Document> DocumentAsync()
        {
            // A build that failed is tried again.
            lock (gate) return building is { IsFaulted: false, IsCanceled: false } ? building : building = BuildAsync(app.Services);
        }
    }

    sealed record Document(byte[] Json, EntityTagHeaderValue Tag);

    static async Task<Document> BuildAsync(IServiceProvider services)
    {
        await using var scope = services.CreateAsyncScope();
        var provider = scope.ServiceProvider.GetRequiredKeyedService<IOpenApiDocumentProvider>(Name);
        var document = await provider.GetOpenApiDocumentAsync(CancellationToken.None);
        var json = new MemoryStream();
        await document.SerializeAsJsonAsync(json, OpenApiSpecVersion.OpenApi3_1, CancellationToken.None);
        var bytes = json.ToArray();
        return new(bytes, new EntityTagHeaderValue($"\"{Convert.ToHexStringLower(SHA256.HashData(bytes)[..16])}\""));
    }

    static bool IsKnown(RequestHeaders headers, EntityTagHeaderValue tag) =>
        headers.IfNoneMatch.Any(known => known.Equals(EntityTagHeaderValue.Any) || known.Compare(tag, useStrongComparison: false));
}
