// Who is refused, and with which code: the same table over WebSocket, over long-polling and over HTTP; and the same for API keys.
import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { apiKey, inSeconds, part, secret, Server, tokenOf } from "./server.js";

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const stranger = generateKeyPairSync("rsa", { modulusLength: 2048 });
const jwk = (pair, kid) => ({ ...pair.publicKey.export({ format: "jwk" }), kid, use: "sig" });

let server;
let elsewhere;
let askedElsewhere = 0;
before(async () => {
  elsewhere = createServer((_, response) => {
    askedElsewhere++;
    response.end(JSON.stringify({ keys: [jwk(stranger, "s")] }));
  }).listen(0, "127.0.0.1");
  const keys = join(tmpdir(), `carillon-keys-${process.pid}.json`);
  await writeFile(keys, JSON.stringify({ keys: [jwk(rsa, "r"), jwk(ec, "e")] }));
  server = await Server.open({
    CARILLON__Access__Jwks: keys,
    CARILLON__Access__Issuer: "https://issuer.example",
    CARILLON__Access__Audience: "shop",
    CARILLON__Limits__FailedCredentialsPerMinute: "0",
    CARILLON__Limits__RefusedHandshakesPerMinute: "0",
  });
  await server.users("alice", "gone", "off");
  await server.call("DELETE", "/api/users/gone");
  await server.call("PUT", "/api/users/off", { disabled: true });
  await server.call("POST", "/api/tokens/revoke", { jti: "revoked" });
});
after(async () => {
  elsewhere.close();
  await server.close();
});

const house = { iss: "https://issuer.example", aud: "shop" };
const good = (claims = {}, options) => tokenOf("alice", { ...house, ...claims }, options);
const claims = { sub: "alice", ...house, iat: inSeconds(0), exp: inSeconds(3600) };
function signed(header, key, body = claims) {
  const input = `${part(header)}.${part(body)}`;
  const algorithm = header.alg.startsWith("HS") ? null : "sha256";
  const signature = algorithm === null ? createHmac("sha256", key).update(input).digest()
    : sign(algorithm, Buffer.from(input), header.alg.startsWith("ES") ? { key, dsaEncoding: "ieee-p1363" } : header.alg.startsWith("PS") ? { key, padding: 6, saltLength: 32 } : key);
  return `${input}.${signature.toString("base64url")}`;
}
const [head, body, signature] = good().split(".");
const publicPem = rsa.publicKey.export({ type: "spki", format: "pem" });

const table = () => [
  ["HS256", good(), "let in"],
  ["RS256 of the issuer", signed({ alg: "RS256", kid: "r" }, rsa.privateKey), "let in"],
  ["PS256 of the issuer", signed({ alg: "PS256", kid: "r" }, rsa.privateKey), "let in"],
  ["ES256 of the issuer", signed({ alg: "ES256", kid: "e" }, ec.privateKey), "let in"],
  ["an audience among several", good({ aud: ["other", "shop"] }), "let in"],
  ["rubbish", "rubbish", "unauthorized"],
  ["empty", "", "unauthorized"],
  ["another key", good({}, { key: "another secret of exactly 32 byte" }), "unauthorized"],
  ["no signature", `${head}.${body}.`, "unauthorized"],
  ["a signature cut short", `${head}.${body}.${signature.slice(0, -2)}`, "unauthorized"],
  ["another's claims under this signature", `${head}.${part({ ...claims, sub: "root" })}.${signature}`, "unauthorized"],
  ["alg none", `${part({ alg: "none" })}.${body}.`, "unauthorized"],
  ["alg nOnE with a signature", `${part({ alg: "nOnE" })}.${body}.${signature}`, "unauthorized"],
  ["the public key as a secret", signed({ alg: "HS256", kid: "r" }, publicPem), "unauthorized"],
  ["RS256 by a stranger", signed({ alg: "RS256", kid: "r" }, stranger.privateKey), "unauthorized"],
  ["a key of its own in the header", signed({ alg: "RS256", jwk: jwk(stranger, "s") }, stranger.privateKey), "unauthorized"],
  ["keys to be fetched elsewhere", signed({ alg: "RS256", kid: "s", jku: `http://127.0.0.1:${elsewhere.address().port}/` }, stranger.privateKey), "unauthorized"],
  ["an algorithm swapped", `${part({ alg: "HS512", typ: "JWT" })}.${body}.${signature}`, "unauthorized"],
  ["an extension that is critical and unknown", signed({ alg: "HS256", crit: ["exp2"], exp2: 1 }, secret), "unauthorized"],
  ["four parts", `${good()}.x`, "unauthorized"],
  ["oversized", good({ name: "x".repeat(9000) }), "unauthorized"],
  ["another issuer", good({ iss: "https://other.example" }), "unauthorized"],
  ["another audience", good({ aud: "school" }), "unauthorized"],
  ["not yet valid", good({ nbf: inSeconds(600) }), "unauthorized"],
  ["no expiry", good({ exp: undefined }), "unauthorized"],
  ["an expiry that is a text", good({ exp: String(inSeconds(600)) }), "unauthorized"],
  ["no subject", good({ sub: undefined }), "unauthorized"],
  ["a subject with a colon", good({ sub: "alice:bob" }), "unauthorized"],
  ["expired", good({ exp: inSeconds(-60) }), "token-expired"],
  ["expired, and forged", good({ exp: inSeconds(-60) }, { key: "another secret of exactly 32 byte" }), "unauthorized"],
  ["revoked", good({ jti: "revoked" }), "token-revoked"],
  ["a user nobody knows", good({ sub: "mallory" }), "unknown-user"],
  ["a deleted user", good({ sub: "gone" }), "unknown-user"],
  ["a disabled user", good({ sub: "off" }), "unknown-user"],
];

for (const [transport, options] of [["WebSocket", { transports: ["websocket"] }], ["long-polling", { transports: ["polling"] }]])
  test(`tokens over ${transport}`, async () => {
    const told = [];
    for (const [what, token] of table()) told.push([what, await server.refusal({ token }, options)]);
    assert.deepEqual(told, table().map(([what, , code]) => [what, code]));
  });

test("tokens over HTTP", async () => {
  const told = [];
  for (const [what, token] of table()) {
    const { status, body: problem } = await server.call("GET", "/api/suggestions", undefined, { token });
    told.push([what, status === 200 ? "let in" : status === 401 ? problem.code : `${status} ${problem?.code}`]);
  }
  assert.deepEqual(told, table().map(([what, , code]) => [what, code]));
  assert.equal(askedElsewhere, 0);
});

test("a ticket is good for one connection, over either transport, and not for HTTP", async () => {
  for (const options of [{ transports: ["websocket"] }, { transports: ["polling"] }]) {
    const { body: { ticket } } = await server.call("POST", "/api/tickets", undefined, { token: good() });
    assert.equal((await server.call("GET", "/api/suggestions", undefined, { token: ticket })).body.code, "unauthorized");
    assert.equal(await server.refusal({ token: ticket }, options), "let in");
    assert.equal(await server.refusal({ token: ticket }, options), "token-replayed");
    assert.equal(await server.refusal({ token: `${ticket.slice(0, -1)}${ticket.endsWith("A") ? "B" : "A"}` }, options), "unauthorized");
  }
});

test("API keys", async () => {
  const { body: made } = await server.call("POST", "/api/keys", { name: "till", scopes: ["publish"] });
  const { body: ended } = await server.call("POST", "/api/keys", { name: "ended", scopes: ["*"] });
  await server.call("DELETE", `/api/keys/${ended.id}`);
  const { body: short } = await server.call("POST", "/api/keys", { name: "short", scopes: ["*"], expiresAt: new Date(Date.now() + 1500).toISOString() });
  const publish = { channel: "notifications:alice", data: 1 };
  const ask = async (authorization, method = "POST", path = "/api/publish", sent = publish) => {
    const { status, body: answer } = await server.call(method, path, sent, { authorization });
    return status < 300 ? "let in" : answer.code;
  };
  assert.equal(await ask(`ApiKey ${short.key}`), "let in");
  for (const [what, authorization, code] of [
    ["the key of the configuration", `ApiKey ${apiKey}`, "let in"],
    ["a key that was made", `ApiKey ${made.key}`, "let in"],
    ["in another case of the scheme", `apikey ${made.key}`, "let in"],
    ["none", "", "unauthorized"],
    ["no key", "ApiKey ", "unauthorized"],
    ["forged", "ApiKey ck_0000000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "unauthorized"],
    ["another secret under this id", `ApiKey ${made.key.slice(0, -4)}AAAA`, "unauthorized"],
    ["this secret under another id", `ApiKey ${ended.key.slice(0, 20)}${made.key.slice(20)}`, "unauthorized"],
    ["cut short", `ApiKey ${made.key.slice(0, -1)}`, "unauthorized"],
    ["longer", `ApiKey ${made.key}A`, "unauthorized"],
    ["oversized", `ApiKey ${"k".repeat(6000)}`, "unauthorized"],
    ["taken away", `ApiKey ${ended.key}`, "unauthorized"],
    ["as a token", `Bearer ${made.key}`, "unauthorized"],
    ["a token as a key", `ApiKey ${good()}`, "unauthorized"],
  ]) assert.equal(await ask(authorization), code, what);
  assert.equal(await ask(`ApiKey ${made.key}`, "PUT", "/api/users/bob", {}), "forbidden", "beyond its scopes");
  assert.equal(await server.refusal({ token: made.key }), "unauthorized", "keys open no connections");
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, Date.parse(short.expiresAt) - Date.now() + 1)));
  assert.equal(await ask(`ApiKey ${short.key}`), "unauthorized", "expired");
});
