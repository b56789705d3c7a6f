using System.Reflection;
using System.Runtime.CompilerServices;
using Carillon.Channels;
using Carillon.Hosting;
using Carillon.SocketIO.Sockets;

namespace Carillon.House.Tests;

/// <summary>
/// What is public is a promise. A change of it must be made knowingly: CARILLON_APPROVE=1 writes the files anew, and the commit shows what was promised.
/// </summary>
public class PublicApiTests
{
    public static TheoryData<string> Packages => ["Carillon.Channels", "Carillon.SocketIO", "Carillon"];

    [Theory]
    [MemberData(nameof(Packages))]
    public void The_public_API_is_the_approved_one(string package)
    {
        Assembly[] assemblies = [typeof(IChannelLayer).Assembly, typeof(SocketServer).Assembly, typeof(CarillonOptions).Assembly];
        var actual = string.Join('\n', assemblies.Single(a => a.GetName().Name == package).GetExportedTypes()
            .OrderBy(type => type.FullName, StringComparer.Ordinal).SelectMany(Lines)) + "\n";
        var file = Repository.Folder($"tests/Carillon.House.Tests/{package}.api.txt");
        if (Environment.GetEnvironmentVariable("CARILLON_APPROVE") == "1") File.WriteAllText(file, actual);
        Assert.Equal(File.ReadAllText(file), actual, ignoreLineEndingDifferences: true);
    }

    static IEnumerable<string> Lines(Type type)
    {
        var kind = type.IsInterface ? "interface" : type.IsEnum ? "enum" : type.IsValueType ? "struct" : typeof(Delegate).IsAssignableFrom(type) ? "delegate" : "class";
        yield return $"{kind} {Name(type)}";
        const BindingFlags visible = BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        foreach (var line in type.GetMembers(visible).Select(Line).OfType<string>().Order(StringComparer.Ordinal)) yield return "  " + line;
    }

    static string? Line(MemberInfo member) => member switch
    {
        _ when member.GetCustomAttribute<CompilerGeneratedAttribute>() is not null => null,
        ConstructorInfo constructor => $"new({Parameters(constructor)})",
        MethodInfo { IsSpecialName: true } => null,
        MethodInfo method => $"{Name(method.ReturnType)} {method.Name}({Parameters(method)})",
        PropertyInfo property => $"{Name(property.PropertyType)} {property.Name} {{{(property.CanRead ? " get;" : "")}{(property.SetMethod?.IsPublic == true ? " set;" : "")} }}",
        FieldInfo field when field.DeclaringType!.IsEnum => field.IsStatic ? field.Name : null,
        FieldInfo field => $"{Name(field.FieldType)} {field.Name}{(field.IsLiteral ? $" = {field.GetRawConstantValue()}" : "")}",
        EventInfo @event => $"event {Name(@event.EventHandlerType!)} {@event.Name}",
        _ => null,
    };

    static string Parameters(MethodBase method) => string.Join(", ", method.GetParameters().Select(p => $"{Name(p.ParameterType)} {p.Name}"));

    static string Name(Type type)
    {
        if (type.IsByRef) return "ref " + Name(type.GetElementType()!);
        if (type.IsArray) return Name(type.GetElementType()!) + "[]";
        if (Nullable.GetUnderlyingType(type) is { } inner) return Name(inner) + "?";
        var name = type.IsGenericParameter ? type.Name : $"{type.Namespace}.{type.Name}".Split('`')[0];
        return type.IsGenericType ? $"{name}<{string.Join(", ", type.GetGenericArguments().Select(Name))}>" : name;
    }
}
