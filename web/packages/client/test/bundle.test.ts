// What a bundler keeps of the package. `socket.io-client` is external; it is not part of the sizes.
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build, defaultClientConditions, type Rollup } from "vite";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");

/** Bundles a page that imports the package and returns the minified code. */
async function bundle(entry: string): Promise<string> {
  const virtual = "\0entry";
  const result = await build({
    configFile: false, root, logLevel: "error",
    resolve: { conditions: ["carillon-source", ...defaultClientConditions] },
    plugins: [{
      name: "entry",
      resolveId: (id) => (id === "entry" ? virtual : undefined),
      load: (id) => (id === virtual ? entry : undefined),
    }],
    build: { write: false, minify: true, rollupOptions: { input: "entry", external: ["socket.io-client"], output: { format: "es" } } },
  });
  const [output] = (Array.isArray(result) ? result : [result]) as [Rollup.RollupOutput];
  return output.output.map((chunk) => (chunk.type === "chunk" ? chunk.code : "")).join("");
}

const kilobytes = (code: string) => gzipSync(code).length / 1000;

/** A text that only the code of this feature contains, and a page that uses the feature. */
const features = {
  channel: { trace: /["'`]unsubscribe["'`]/, page: 'channel(client, "news").listen({})' },
  changes: { trace: /change received/, page: 'changes(client, ["sales"], () => {})' },
  presence: { trace: /presence:/, page: 'presence(client, "room:1").subscribe(() => {})' },
  votes: { trace: /suggestion:vote/, page: "votes(client).subscribe(() => {})" },
  createCoalescer: { trace: /running-again/, page: "createCoalescer({ run() {} })" },
} as const;
type Feature = keyof typeof features;

const uses: Readonly<Record<Feature, readonly Feature[]>> = {
  channel: [], changes: ["channel"], presence: ["channel"], votes: ["channel"], createCoalescer: [],
};

const pageOf = (...used: readonly Feature[]) => bundle(`
  import { ${["createCarillon", ...used].join(", ")} } from "@carillon/client";
  const client = createCarillon();
  client.connect();
  ${used.map((name) => features[name].page).join("\n")}
`);

const present = (code: string) => (Object.keys(features) as Feature[]).filter((name) => features[name].trace.test(code));

describe("A bundle", () => {
  test("of the connection alone contains no feature", async () => {
    const code = await pageOf();
    expect(code).toContain("token:refresh");
    expect(present(code)).toEqual([]);
  });

  test.each(Object.keys(features) as Feature[])("of a page that uses %s contains no other feature", async (name) => {
    expect(present(await pageOf(name)).sort()).toEqual([name, ...uses[name]].sort());
  });

  test("of a page that uses changes has at most 7 kB after compression, and of one that uses everything at most 10 kB", async () => {
    expect(kilobytes(await pageOf("changes"))).toBeLessThanOrEqual(7);
    expect(kilobytes(await pageOf(...(Object.keys(features) as Feature[])))).toBeLessThanOrEqual(10);
  });
});
