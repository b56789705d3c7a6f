using System.Buffers.Text;
using System.Text;
using Carillon.Access;
using Carillon.Access.Tokens;
using Carillon.TestTools;
using Microsoft.Extensions.Logging.Abstractions;

namespace Carillon.Tests.Access;

/// <summary>
/// The examples of RFC 7515 (appendix A) and RFC 7519. Their claims name no subject, so none of them lets anybody in: how far each gets tells that its signature was right.
/// </summary>
public sealed class SpecificationTests : IDisposable
{
    const string Claims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const string NoSubject = "The token names no subject, or one that cannot be a user's id.";
    const string WrongSignature = "The token's signature is wrong.";

    // 64 bytes that are no text; a SigningKey always is one, so this example is asked of the signature alone.
    const string Secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

    const string A1 = $"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{Claims}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    const string A2 = $"eyJhbGciOiJSUzI1NiJ9.{Claims}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

    const string A2Key = """{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}""";

    const string A3 = $"eyJhbGciOiJFUzI1NiJ9.{Claims}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

    const string A3Key = """{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}""";

    readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("carillon-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Theory]
    [InlineData(A2)]
    [InlineData(A3)]
    public async Task Examples_A_2_and_A_3_of_RFC_7515_have_the_right_signature_until_a_bit_of_it_is_another(string token)
    {
        Assert.Equal((ErrorCode.Unauthorized, NoSubject), await RefusalAsync(token));
        Assert.Equal((ErrorCode.Unauthorized, WrongSignature), await RefusalAsync(token[..^10] + (token[^10] == 'A' ? 'B' : 'A') + token[^9..]));
    }

    [Fact]
    public void Example_A_1_of_RFC_7515_and_3_1_of_RFC_7519_has_the_right_signature()
    {
        var key = new Microsoft.IdentityModel.Tokens.SymmetricSecurityKey(Base64Url.DecodeFromChars(Secret));
        Assert.True(TokenValidator.IsSignedBy(key, "HS256", CompactToken.Read(A1)!));
        Assert.False(TokenValidator.IsSignedBy(key, "HS512", CompactToken.Read(A1)!));
        Assert.False(TokenValidator.IsSignedBy(key, "HS256", CompactToken.Read(A1.Replace("dBj", "eBj"))!));
    }

    [Theory]
    [InlineData("HS256", 32)]
    [InlineData("HS384", 32)]
    [InlineData("HS384", 47)]
    [InlineData("HS512", 32)]
    [InlineData("HS512", 63)]
    [InlineData("HS256", 64)]
    [InlineData("HS256", 65)]
    [InlineData("HS512", 129)]
    public void A_secret_of_any_length_signs_as_HMAC_does(string algorithm, int bytes)
    {
        var secret = new string('k', bytes);
        var token = Issuer.Hmac($$"""{"alg":"{{algorithm}}"}""", """{"sub":"alice"}""", Encoding.UTF8.GetBytes(secret));
        Assert.True(TokenValidator.IsSignedBy(TokenValidator.Secret(secret), algorithm, CompactToken.Read(token)!));
    }

    [Fact]
    public async Task The_unsecured_example_of_RFC_7519_is_refused() =>
        Assert.Equal((ErrorCode.Unauthorized, "The token is malformed."), await RefusalAsync($"eyJhbGciOiJub25lIn0.{Claims}."));

    async Task<(ErrorCode?, string?)> RefusalAsync(string token)
    {
        var file = Path.Combine(_folder.FullName, "keys.json");
        await File.WriteAllTextAsync(file, $$"""{"keys":[{{A2Key}},{{A3Key}}]}""");
        using var tokens = new TokenValidator(new AccessOptions { Jwks = file, Issuer = "joe" }, new HandDrivenClock(), NullLogger.Instance);
        var reading = await tokens.ValidateAsync(token, CancellationToken.None);
        return (reading.Error, reading.Reason);
    }
}
