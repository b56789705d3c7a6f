import { join } from "node:path";
import { defineConfig } from "vitest/config";

const repository = join(import.meta.dirname, "..");

// Every web project in one run; each keeps its own configuration for `npm test` in its folder.
export default defineConfig({
  root: repository,
  test: { projects: ["web/packages/*", "samples/Magasin/web"] },
});
