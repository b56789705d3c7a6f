namespace Carillon.BenchLoad;

/// <summary>The command line: <c>--name value</c>, and <c>--name</c> alone for what is on or off.</summary>
sealed class Options
{
    readonly Dictionary<string, string> _given = [];
    readonly HashSet<string> _asked = [];

    public Options(string[] arguments)
    {
        for (var i = 0; i < arguments.Length; i++)
        {
            if (!arguments[i].StartsWith("--", StringComparison.Ordinal)) throw new LoadException($"{arguments[i]} is no option.");
            var hasValue = i + 1 < arguments.Length && !arguments[i + 1].StartsWith("--", StringComparison.Ordinal);
            _given[arguments[i][2..]] = hasValue ? arguments[++i] : "";
        }
    }

    public string Text(string name, string otherwise)
    {
        _asked.Add(name);
        return _given.GetValueOrDefault(name, otherwise);
    }

    public double Number(string name, double otherwise)
    {
        var text = Text(name, "");
        if (text.Length == 0) return otherwise;
        return double.TryParse(text, out var number) ? number : throw new LoadException($"--{name} needs a number, not {text}.");
    }

    public int Whole(string name, int otherwise) => (int)Number(name, otherwise);

    public bool Has(string name)
    {
        _asked.Add(name);
        return _given.ContainsKey(name);
    }

    /// <summary>A misspelt option would quietly measure something else.</summary>
    public void RefuseTheRest()
    {
        if (_given.Keys.FirstOrDefault(name => !_asked.Contains(name)) is { } unknown) throw new LoadException($"--{unknown} is no option of this scenario.");
    }
}
