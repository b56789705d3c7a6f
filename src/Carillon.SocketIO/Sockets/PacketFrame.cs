using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Packets;

namespace Carillon.SocketIO.Sockets;

/// <summary>Turns an encoded packet into the frame that all its receivers share.</summary>
static class PacketFrame
{
    /// <summary>Copies a packet into a frame, and disposes it.</summary>
    public static SharedFrame Of(EncodedPacket packet, bool compress = true, SendPolicy? policy = null)
    {
        using (packet) return SharedFrame.OfMessage(packet.Text, packet.Attachments, compress, policy);
    }
}
