// Rules about the sources of all web packages.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const packages = resolve(import.meta.dirname, "../..");
const sourcesOf = (folder: string) => readdirSync(join(packages, folder), { recursive: true, encoding: "utf8" })
  .filter((file) => /\.(tsx?|md)$/.test(file) && !/(^|\/)(node_modules|dist)\//.test(file))
  .map((file) => join(packages, folder, file));
const names = readdirSync(packages);
const sources = names.flatMap(sourcesOf);
const modules = sources.filter((file) => /\/src\/.*\.tsx?$/.test(file));

/** The modules that a module imports or re-exports by a relative path; types count too. */
function importsOf(file: string): readonly string[] {
  const text = readFileSync(file, "utf8");
  return [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"(\.[^"]*)"/g)].map(([, path = ""]) => {
    const base = resolve(dirname(file), path).replace(/\.js$/, "");
    const target = modules.find((module) => module === `${base}.ts` || module === `${base}.tsx`);
    if (!target) throw new Error(`${relative(packages, file)} imports ${path}, which does not exist.`);
    return target;
  });
}

/** A cycle in a graph of imports, from a module back to itself; undefined when there is none. */
function findCycle(graph: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const done = new Set<string>();
  const visit = (module: string, path: readonly string[]): readonly string[] | undefined => {
    if (path.includes(module)) return [...path.slice(path.indexOf(module)), module];
    if (done.has(module)) return undefined;
    for (const next of graph.get(module) ?? []) {
      const cycle = visit(next, [...path, module]);
      if (cycle) return cycle;
    }
    done.add(module);
    return undefined;
  };
  for (const module of graph.keys()) {
    const cycle = visit(module, []);
    if (cycle) return cycle;
  }
  return undefined;
}

describe("The web packages", () => {
  test("have no import cycles", () => {
    expect(modules.length).toBeGreaterThan(30);
    expect(findCycle(new Map([["a", ["b"]], ["b", ["c", "d"]], ["c", []], ["d", ["b"]]]))).toEqual(["b", "d", "b"]);
    const cycle = findCycle(new Map(modules.map((module) => [module, importsOf(module)])));
    expect(cycle?.map((module) => relative(packages, module))).toBeUndefined();
  });

  // What the client consists of without any feature. A feature may import these; none of these may import a feature.
  test("keep the features out of the core of the client", () => {
    const features = ["changes", "presence", "votes"].map((name) => join(packages, `client/src/${name}.ts`));
    const importers = modules.filter((module) => importsOf(module).some((target) => features.includes(target)));
    expect(importers).toEqual([join(packages, "client/src/index.ts")]);
  });

  test("do not use the type any", () => {
    const offenders = modules.filter((file) => /(:|<|\bas|\||=>)\s*any\b(?!\w)\s*[;,)>\]|&={]/.test(readFileSync(file, "utf8")));
    expect(offenders).toEqual([]);
  });

  test("have lines of at most 140 characters", () => {
    const long = sources.flatMap((file) => readFileSync(file, "utf8").split("\n").flatMap((line, i) =>
      [...line].length > 140 ? [`${relative(packages, file)}:${i + 1}`] : []));
    expect(long).toEqual([]);
  });

  test("tell bundlers that importing them has no side effects", () => {
    for (const name of names)
      expect(JSON.parse(readFileSync(join(packages, name, "package.json"), "utf8"))).toMatchObject({ sideEffects: false });
  });
});
