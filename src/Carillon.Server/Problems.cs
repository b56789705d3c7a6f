namespace Carillon.Server;

/// <summary>Problems of ASP.NET Core itself (no such path, no JSON) have a code like all others.</summary>
static class Problems
{
    public static void AddCode(ProblemDetailsContext context)
    {
        var problem = context.ProblemDetails;
        var error = CodeOf(problem.Status ?? context.HttpContext.Response.StatusCode);
        problem.Extensions.TryAdd("code", error.Code);
        problem.Extensions.TryAdd("retryable", error.Retryable);
    }

    internal static ErrorCode CodeOf(int status) => status switch
    {
        StatusCodes.Status401Unauthorized => ErrorCode.Unauthorized,
        StatusCodes.Status403Forbidden => ErrorCode.Forbidden,
        StatusCodes.Status404NotFound or StatusCodes.Status405MethodNotAllowed => ErrorCode.NotFound,
        StatusCodes.Status409Conflict => ErrorCode.Conflict,
        StatusCodes.Status413PayloadTooLarge => ErrorCode.PayloadTooLarge,
        StatusCodes.Status429TooManyRequests => ErrorCode.RateLimited,
        >= 500 => ErrorCode.Unavailable,
        _ => ErrorCode.InvalidPayload,
    };
}
