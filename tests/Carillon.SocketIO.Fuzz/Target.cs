using System.Text;

namespace Carillon.SocketIO.Fuzz;

/// <summary>Something that reads what clients send, how its inputs are made up, and what must hold for each of them.</summary>
abstract class Target
{
    const string Corpus = "tests/Carillon.SocketIO.Fuzz/corpus";

    long _inputs, _accepted;

    public abstract string Name { get; }

    public long Inputs => Volatile.Read(ref _inputs);

    public double Accepted => (double)_accepted / Math.Max(1, _inputs);

    /// <summary>How many kept cases were replayed.</summary>
    public int Cases { get; private set; }

    /// <summary>Makes an input up.</summary>
    protected abstract byte[] Make(Random random);

    /// <summary>Throws unless everything holds that must. Says whether the input was good to the end.</summary>
    protected abstract bool Check(byte[] input, Random random);

    /// <summary>Replays what is kept, then goes on with new inputs; the answer is the failure, if there is one.</summary>
    public string? Run(int seed, Func<bool> goOn)
    {
        var kept = Kept();
        Cases = kept.Count;
        foreach (var (file, input) in kept)
            for (var i = 0; i < 20; i++)
                if (Failure(input, i) is { } error) return $"{Name}: {file} fails again: {error}";
        for (; goOn(); seed++)
        {
            var random = new Random(seed);
            var input = random.Next(4) == 0 && kept.Count > 0 ? Mutation.Of(kept[random.Next(kept.Count)].Input, random) : Make(random);
            var failure = Failure(input, seed);
            _inputs++;
            if (failure is null) continue;
            var file = $"{Corpus}/{Name}/found-{(uint)seed:x8}.hex";
            var smallest = Shrink(input, seed);
            if (Directory.Exists(Corpus)) File.WriteAllText(file, Convert.ToHexString(smallest) + "\n");
            return $"{Name}: --seed {seed} fails, kept as {file}: {Show(smallest)}\n{Failure(smallest, seed) ?? failure}";
        }
        return null;
    }

    string? Failure(byte[] input, int seed)
    {
        try
        {
            if (Check([.. input], new Random(seed))) _accepted++;
            return null;
        }
        catch (Exception ex)
        {
            return ex.ToString();
        }
    }

    // Leaves out what the failure does not need.
    byte[] Shrink(byte[] input, int seed)
    {
        for (var part = Math.Max(1, input.Length / 2); part > 0; part /= 2)
            for (var at = 0; at + part <= input.Length;)
            {
                byte[] shorter = [.. input[..at], .. input[(at + part)..]];
                if (Failure(shorter, seed) is null) at += part;
                else input = shorter;
            }
        return input;
    }

    List<(string File, byte[] Input)> Kept()
    {
        var folder = $"{Corpus}/{Name}";
        if (!Directory.Exists(folder)) return [];
        return [.. Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal).Select(file => (file,
            file.EndsWith(".hex", StringComparison.Ordinal) ? Convert.FromHexString(string.Concat(File.ReadAllText(file).Where(char.IsAsciiHexDigit))) : Encoding.UTF8.GetBytes(File.ReadAllText(file).TrimEnd('\n'))))];
    }

    static string Show(byte[] input) => input.All(b => b is >= 0x20 and < 0x7f) ? Encoding.ASCII.GetString(input) : Convert.ToHexString(input);

    protected static void Require(bool holds, string what)
    {
        if (!holds) throw new InvalidDataException(what);
    }

    protected static void Require(bool holds, Func<string> what)
    {
        if (!holds) throw new InvalidDataException(what());
    }

    protected static T Pick<T>(Random random, params ReadOnlySpan<T> choices) => choices[random.Next(choices.Length)];

    /// <summary>The input in pieces, cut anywhere; now and then in single bytes.</summary>
    protected static IEnumerable<byte[]> Cut(byte[] input, Random random)
    {
        var longest = Pick(random, 1, 3, 20, Math.Max(1, input.Length));
        for (var at = 0; at < input.Length;)
        {
            var length = Math.Min(random.Next(1, longest + 1), input.Length - at);
            yield return input[at..(at + length)];
            at += length;
        }
    }
}

/// <summary>Small damage.</summary>
static class Mutation
{
    static readonly byte[][] Pieces =
    [
        [0], [0x1e], [0x7f], [0x80], [0xff], [0xff, 0xff, 0xff, 0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf0], .. new[]
        {
            "\"", "\\", "\\ud800", "\\u0000", "[", "]", "{", "}", ",", ":", "-", "/", "0", "9007199254740993", "1e999", "null", "{\"_placeholder\":true,\"num\":0}", "{\"_placeholder\":true,\"num\":-1}",
            "\"_placeholder\":true", "\"\\ud800\":", "__proto__", "451-", "[[[[[[[[", "b", "\u001e",
        }.Select(Encoding.UTF8.GetBytes),
    ];

    public static byte[] Of(byte[] input, Random random)
    {
        List<byte> bytes = [.. input];
        for (var times = random.Next(1, 5); times > 0; times--)
        {
            var at = random.Next(bytes.Count + 1);
            var length = Math.Min(random.Next(1, 9), bytes.Count - at);
            switch (random.Next(6))
            {
                case 0 when at < bytes.Count: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                case 1 when at < bytes.Count: bytes[at] = (byte)random.Next(256); break;
                case 2: bytes.RemoveRange(at, length); break;
                case 3: bytes.InsertRange(at, bytes.GetRange(at, length)); break;
                case 4 when bytes.Count > 0: bytes.RemoveRange(at, bytes.Count - at); break;
                default: bytes.InsertRange(at, Pieces[random.Next(Pieces.Length)]); break;
            }
        }
        return [.. bytes];
    }
}
