using Microsoft.Extensions.Logging;

namespace Carillon.Tests;

/// <summary>What was logged.</summary>
sealed class Lines : ILoggerProvider, ILogger
{
    readonly List<(LogLevel Level, string Text)> _lines = [];

    public IReadOnlyList<string> All
    {
        get { lock (_lines) return [.. _lines.Select(line => line.Text)]; }
    }

    public IReadOnlyList<string> At(LogLevel level)
    {
        lock (_lines) return [.. _lines.Where(line => line.Level == level).Select(line => line.Text)];
    }

    public ILogger<T> Of<T>() => new LoggerFactory([this]).CreateLogger<T>();

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        lock (_lines) _lines.Add((logLevel, formatter(state, exception)));
    }

    public void Dispose()
    {
    }
}
