using System.Reflection;
using Microsoft.OpenApi;

namespace Carillon.Server;

/// <summary>What the HTTP API offers, as an OpenAPI document made from the endpoints themselves.</summary>
static class Description
{
    /// <summary>The program's version, without the mark of its build.</summary>
    public static string Version { get; } =
        typeof(Description).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    public static void Add(IServiceCollection services) => services.AddOpenApi("v1", options => options.AddDocumentTransformer((document, _, _) =>
    {
        document.Info = new OpenApiInfo { Title = "Carillon", Version = Version, Description = "What back ends and administrators call. Screens connect over Socket.IO." };
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

    public static void Map(WebApplication app) => app.MapOpenApi();
}
