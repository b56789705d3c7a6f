using System.Text.Encodings.Web;
using System.Text.Json;

namespace Carillon.SocketIO.Packets;

/// <summary>
/// JSON as it goes over the wire: camelCase, compact, and no escapes that JSON does not ask for (it is never put inside HTML by us).
/// </summary>
static class CompactJson
{
    public static readonly JsonSerializerOptions Options = new(
        JsonSerializerDefaults.Web) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
}
