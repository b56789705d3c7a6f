using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Magasin.Sql;
using QRCoder;

namespace Magasin.Home;

/// <summary>
/// Which addresses other machines can open, said on the console when the shop opens, with a code for a telephone's camera.
/// </summary>
internal static class Addresses
{
    public static bool IsConfigured(IConfiguration configuration) =>
        configuration["urls"] is { Length: > 0 } || configuration["http_ports"] is { Length: > 0 }
            || configuration["https_ports"] is { Length: > 0 }
        || configuration.GetSection("Kestrel:Endpoints").GetChildren().Any();

    public static void Print(WebApplication app, TextWriter console)
    {
        var listening = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()?.Addresses ?? [];
        var (here, others) = Of(listening, LocalAddresses());

        console.WriteLine();
        console.WriteLine("  The shop is open.");
        foreach (var address in here) console.WriteLine($"    On this machine:     {address}");
        foreach (var address in others) console.WriteLine($"    On other machines:   {address}");
        if (others.Count == 0) console.WriteLine(
            "    Other machines cannot reach it: it listens on this machine alone, or no network is connected.");
        else
        {
            using var code = QRCodeGenerator.GenerateQrCode(others[0], QRCodeGenerator.ECCLevel.L);
            using var drawing = new AsciiQRCode(code);
            console.WriteLine();
            console.WriteLine(drawing.GetGraphicSmall());
        }

        console.WriteLine(SqlApi.IsAllowed(app.Configuration)
            ? $"  Anyone on this network can run SQL here, because {SqlApi.Switch} is true."
            : $"  SQL from the page Synchro is off. --{SqlApi.Switch} true turns it on, for everyone on this network.");
        console.WriteLine("  Ctrl+C closes it.");
        console.WriteLine();
        console.Flush();
    }

    /// <summary>The addresses to open, here and elsewhere, for what the server listens on and the addresses this machine has.</summary>
    internal static (IReadOnlyList<string> Here, IReadOnlyList<string> Others) Of(
        IEnumerable<string> listening, IReadOnlyList<string> local)
    {
        var (here, others) = (new List<string>(), new List<string>());
        foreach (var address in listening.Select(text =>
            new Uri(text.Replace("*", "0.0.0.0", StringComparison.Ordinal).Replace("+", "0.0.0.0", StringComparison.Ordinal))))
        {
            string At(string host) => new UriBuilder(address.Scheme, host, address.Port).Uri.ToString().TrimEnd('/');
            if (address.Host is "0.0.0.0" or "[::]")
            {
                here.Add(At("localhost"));
                others.AddRange(local.Select(At));
            }
            else if (address.IsLoopback) here.Add(At(address.Host));
            else others.Add(At(address.Host));
        }

        return ([.. here.Distinct()], [.. others.Distinct()]);
    }

    // The addresses of a real network first: those behind a gateway, which a bridge for virtual machines or containers has not.
    static List<string> LocalAddresses() =>
        [.. NetworkInterface.GetAllNetworkInterfaces()
            .Where(network => network.OperationalStatus == OperationalStatus.Up
                && network.NetworkInterfaceType != NetworkInterfaceType.Loopback)
            .OrderByDescending(network => network.GetIPProperties().GatewayAddresses.Any(gateway => !gateway.Address.Equals(IPAddress.Any)))
            .SelectMany(network => network.GetIPProperties().UnicastAddresses)
            .Where(unicast => unicast.Address.AddressFamily == AddressFamily.InterNetwork && !IPAddress.IsLoopback(unicast.Address))
            .Select(unicast => unicast.Address.ToString())];
}
