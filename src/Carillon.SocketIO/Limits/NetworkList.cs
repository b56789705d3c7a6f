using System.Net;

namespace Carillon.SocketIO.Limits;

/// <summary>Addresses and networks as an operator writes them.</summary>
sealed class NetworkList
{
    readonly IPNetwork[] _networks;

    /// <exception cref="InvalidOperationException">A text is neither; the message says which option it stands in.</exception>
    public NetworkList(IEnumerable<string> texts, string option) => _networks = [.. texts.Select(text => Parse(text, option))];

    public bool IsEmpty => _networks.Length == 0;

    public IEnumerable<IPNetwork> All => _networks;

    public bool Contains(IPAddress address)
    {
        if (_networks.Length == 0) return false;
        if (address.IsIPv4MappedToIPv6) address = address.MapToIPv4();
        foreach (var network in _networks)
            if (network.Contains(address)) return true;
        return false;
    }

    static IPNetwork Parse(string text, string option)
    {
        if (IPNetwork.TryParse(text, out var network)) return network;
        if (IPAddress.TryParse(text, out var address)) return new IPNetwork(address, address.GetAddressBytes().Length * 8);
        throw new InvalidOperationException($"LimitOptions.{option}: \"{text}\" is no address (192.0.2.7) and no network (192.0.2.0/24).");
    }
}
