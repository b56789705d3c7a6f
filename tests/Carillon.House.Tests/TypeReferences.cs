using System.Reflection;
using System.Reflection.Emit;

namespace Carillon.House.Tests;

/// <summary>
/// Which type refers to which: by its base types, its members, its attributes, and what its methods do. Constants leave no trace in compiled code.
/// </summary>
static class TypeReferences
{
    const BindingFlags All = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    static readonly Dictionary<short, OpCode> OpCodesByValue =
        typeof(OpCodes).GetFields().Select(field => (OpCode)field.GetValue(null)!).ToDictionary(code => code.Value);

    /// <summary>The references between the types of some assemblies, each once.</summary>
    public static IReadOnlySet<(Type From, Type To)> Between(params Assembly[] assemblies) =>
        assemblies.SelectMany(assembly => assembly.GetTypes())
            .SelectMany(type => Of(type).SelectMany(Parts).Where(other => assemblies.Contains(other.Assembly)).Select(other => (Outermost(type), Outermost(other))))
            .Where(reference => reference.Item1 != reference.Item2)
            .ToHashSet();

    static IEnumerable<Type> Of(Type type)
    {
        if (type.BaseType is { } parent) yield return parent;
        foreach (var implemented in type.GetInterfaces()) yield return implemented;
        foreach (var attribute in type.GetCustomAttributesData()) yield return attribute.AttributeType;
        foreach (var member in type.GetMembers(All))
        {
            foreach (var attribute in member.GetCustomAttributesData()) yield return attribute.AttributeType;
            foreach (var other in OfMember(member)) yield return other;
        }
    }

    static IEnumerable<Type> OfMember(MemberInfo member) => member switch
    {
        FieldInfo field => [field.FieldType],
        EventInfo @event => [@event.EventHandlerType!],
        PropertyInfo property => [property.PropertyType],
        MethodBase method => OfMethod(method),
        _ => [],
    };

    static IEnumerable<Type> OfMethod(MethodBase method)
    {
        if (method is MethodInfo { ReturnType: var returned }) yield return returned;
        foreach (var parameter in method.GetParameters()) yield return parameter.ParameterType;
        if (method.GetMethodBody() is not { } body) yield break;
        foreach (var local in body.LocalVariables) yield return local.LocalType;
        foreach (var caught in body.ExceptionHandlingClauses.Where(clause => clause.Flags == ExceptionHandlingClauseOptions.Clause)) yield return caught.CatchType!;
        foreach (var other in OfCode(method, body.GetILAsByteArray()!)) yield return other;
    }

    // ECMA-335, partition III: an opcode of one or two bytes, then its operand.
    static IEnumerable<Type> OfCode(MethodBase method, byte[] code)
    {
        var typeArguments = method.DeclaringType!.IsGenericType ? method.DeclaringType.GetGenericArguments() : null;
        var methodArguments = method.IsGenericMethod ? method.GetGenericArguments() : null;
        for (var at = 0; at < code.Length;)
        {
            var opCode = code[at] == 0xfe ? OpCodesByValue[(short)(0xfe00 | code[at + 1])] : OpCodesByValue[code[at]];
            at += opCode.Size;
            switch (opCode.OperandType)
            {
                case OperandType.InlineField or OperandType.InlineMethod or OperandType.InlineTok or OperandType.InlineType:
                    var member = method.Module.ResolveMember(BitConverter.ToInt32(code, at), typeArguments, methodArguments)!;
                    if (member is Type type) yield return type;
                    if (member.DeclaringType is { } declaring) yield return declaring;
                    if (member is MethodInfo { IsGenericMethod: true } generic)
                        foreach (var argument in generic.GetGenericArguments()) yield return argument;
                    foreach (var signed in SignatureOf(member)) yield return signed;
                    at += 4;
                    break;
                case OperandType.InlineSwitch:
                    at += 4 + (4 * BitConverter.ToInt32(code, at));
                    break;
                case OperandType.InlineNone:
                    break;
                case OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar:
                    at += 1;
                    break;
                case OperandType.InlineVar:
                    at += 2;
                    break;
                case OperandType.InlineI8 or OperandType.InlineR:
                    at += 8;
                    break;
                default:
                    at += 4;
                    break;
            }
        }
    }

    static IEnumerable<Type> SignatureOf(MemberInfo member) => member switch
    {
        FieldInfo field => [field.FieldType],
        MethodInfo method => [method.ReturnType],
        _ => [],
    };

    static IEnumerable<Type> Parts(Type type)
    {
        if (type.HasElementType) return Parts(type.GetElementType()!);
        return type.IsGenericType ? type.GetGenericArguments().SelectMany(Parts).Prepend(type.GetGenericTypeDefinition()) : [type];
    }

    static Type Outermost(Type type) => type.DeclaringType is { } outer ? Outermost(outer) : type;
}
