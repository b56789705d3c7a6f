using System.Net;
using Carillon.SocketIO.Conformance;
using Microsoft.AspNetCore.Builder;

// Offers one server per profile, on the base port and the ones after it, for independent protocol suites and real clients:
//   dotnet run -c Release --project tests/Carillon.SocketIO.Conformance -- --base-port 9000
var basePort = args is [.., "--base-port", var text] || (Array.IndexOf(args, "--base-port") is var at and >= 0 && (text = args[at + 1]) is not null)
    ? int.Parse(text!)
    : 9000;

// With --direct, new clients over plain WebSocket are taken off the connection before HTTP sees them.
var direct = args.Contains("--direct");

WebApplication[] profiles =
[
    EngineProfiles.Protocol(Listen(0)),
    ProtocolProfile.Create(Listen(1)),
    EngineProfiles.Client(Listen(2)),
    ClientProfile.Create(Listen(3)),
    HeldOutProfile.Create(Listen(4), recoverWithin: null),
    HeldOutProfile.Create(Listen(5), recoverWithin: TimeSpan.FromSeconds(2)),
];
await Task.WhenAll(profiles.Select(profile => profile.StartAsync()));
Console.WriteLine("ready");
await Task.WhenAll(profiles.Select(profile => profile.WaitForShutdownAsync()));

WebApplicationBuilder Listen(int offset)
{
    var builder = WebApplication.CreateSlimBuilder();
    builder.Logging.SetMinimumLevel(LogLevel.Warning).AddSimpleConsole();
    builder.Services.AddSocketIO(options => options.Engine.Limits.LimitAddresses = false);   // suites come from one address, and try what is wrong
    builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, basePort + offset));
    if (direct) builder.WebHost.UseSocketIO();
    return builder;
}
