using Carillon.Access;
using Carillon.Api;
using Microsoft.AspNetCore.Http;

namespace Carillon.Administration;

/// <summary>The HTTP answers to decisions that end access.</summary>
static class DecisionAnswer
{
    /// <summary>The problem that the caller is answered with; null where the decision is stored.</summary>
    public static IResult? ProblemOf(DecisionOutcome outcome, HttpContext http) => outcome switch
    {
        DecisionOutcome.Stored => null,
        DecisionOutcome.NotFound => Problem.Of(http, ErrorCode.NotFound, ErrorCode.NotFound.Message),
        DecisionOutcome.Pending => Problem.Of(http, ErrorCode.Unavailable,
            "This is in force on this server now and not stored yet. A crash before it is stored loses it.", PendingDecisions.RetryEvery,
            ("inForce", true)),
        _ => Problem.Of(http, ErrorCode.Unavailable,
            "Too many decisions wait to be stored. This one is not in force: repeat it.", PendingDecisions.RetryEvery, ("inForce", false)),
    };
}
