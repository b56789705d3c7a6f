using System.Collections;
using System.ComponentModel;
using System.Globalization;
using System.Reflection;
using Carillon.Hub;

namespace Carillon.Server.Configuration;

/// <summary>
/// A key of the configuration: where it is, with <c>#</c> for a number and <c>*</c> for a name of one's own, what it holds, and what it
/// holds by default.
/// </summary>
sealed record KnownKey(string Path, Type Type, object? Default)
{
    /// <summary>All keys of an options class, those of its parts among them, by what can be set in it.</summary>
    public static IEnumerable<KnownKey> Of(Type type, object? options, string prefix = "", int depth = 0)
    {
        foreach (var property in type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(property =>
            property.GetIndexParameters().Length == 0))
        {
            var path = prefix + property.Name;
            var value = options is null ? null : property.GetValue(options);
            if (IsScalar(property.PropertyType))
            {
                if (property.SetMethod?.IsPublic == true
                    || IsGivenAtBirth(type, property)) yield return new(path, property.PropertyType, value);
            }
            else if (ElementOf(property.PropertyType) is { } element)
            {
                var isNamed = property.PropertyType.IsAssignableTo(typeof(IDictionary)) || IsDictionary(property.PropertyType);
                var each = $"{path}:{(isNamed ? "*" : "#")}";
                if (IsScalar(element)) yield return new(each, element, null);
                else foreach (var key in Of(element, null, each + ":", depth + 1)) yield return key;
            }
            else if (IsOptions(property.PropertyType) && depth < 5)
                foreach (var key in Of(property.PropertyType, value, path + ":", depth + 1)) yield return key;
        }
    }

    /// <summary>Whether a path that somebody wrote is this one.</summary>
    public bool Matches(string path)
    {
        var (known, written) = (Path.Split(':'), path.Split(':'));
        return known.Length == written.Length && known.Zip(written).All(part => part.First switch
        {
            "#" => part.Second.Length > 0 && part.Second.All(char.IsAsciiDigit),
            "*" => part.Second.Length > 0,
            _ => part.First.Equals(part.Second, StringComparison.OrdinalIgnoreCase),
        });
    }

    /// <summary>The problem of a value, as the end of a sentence that begins with the key; null if there is none.</summary>
    public string? ProblemWith(string value)
    {
        var type = Nullable.GetUnderlyingType(Type) ?? Type;
        if (type == typeof(string)) return null;   // may be a secret: validated elsewhere, and never printed
        // "10" would be ten days, and "24:00:00" twenty-four.
        var fits = type == typeof(TimeSpan)
            ? value.Contains(':') && TimeSpan.TryParseExact(value, "c", CultureInfo.InvariantCulture, out _) : CanBe(type, value);
        if (fits) return null;
        return $"must be {Wanted(type)}; it is \"{value}\".";
    }

    string Wanted(Type type) =>
        type == typeof(bool) ? "true or false" :
        type == typeof(TimeSpan) ? $"a time as hours:minutes:seconds, such as {Default ?? TimeSpan.FromSeconds(10)}" :
        type.IsEnum ? $"one of {string.Join(", ", Enum.GetNames(type))}" :
        type == typeof(double) ? $"a number, such as {Default ?? 1.5}" :
        type == typeof(Grant)
            ? "one or several of everyone, users, nobody, owner, members, subscribers, present, admins and role:… with commas between" :
        type.IsPrimitive ? $"a whole number, such as {Default ?? 100}" :
        $"a {type.Name}";

    static bool CanBe(Type type, string value)
    {
        try
        {
            return TypeDescriptor.GetConverter(type).ConvertFromInvariantString(value) is { } converted
                && (!type.IsEnum || Enum.IsDefined(type, converted));
        }
        catch (Exception ex) when (ex is ArgumentException or FormatException or NotSupportedException or OverflowException)
        {
            return false;
        }
    }

    static bool IsScalar(Type type) => (Nullable.GetUnderlyingType(type) ?? type) is var plain
        && (plain.IsPrimitive || plain.IsEnum || plain == typeof(string) || plain == typeof(TimeSpan) || plain == typeof(decimal)
            || plain == typeof(Uri) || plain == typeof(Grant));

    static bool IsOptions(Type type) => type is { IsClass: true, Namespace: { } space } && !typeof(Delegate).IsAssignableFrom(type)
        && (space == "Carillon" || space.StartsWith("Carillon.", StringComparison.Ordinal));

    static bool IsGivenAtBirth(Type type, PropertyInfo property) =>
        type.GetConstructors().Any(made =>
            made.GetParameters().Any(given => given.Name!.Equals(property.Name, StringComparison.OrdinalIgnoreCase)));

    static bool IsDictionary(Type type) => type.IsGenericType && type.GetGenericTypeDefinition() is var generic
        && (generic == typeof(IDictionary<,>) || generic == typeof(Dictionary<,>) || generic == typeof(IReadOnlyDictionary<,>));

    static Type? ElementOf(Type type) =>
        type.IsArray ? type.GetElementType() :
        type == typeof(AreaList) ? typeof(Area) :
        type.IsGenericType && type.IsAssignableTo(typeof(IEnumerable)) ? type.GetGenericArguments()[^1] :
        null;
}
