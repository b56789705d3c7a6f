import { defineConfig } from "vitest/config";

// Every web project in one run; each keeps its own configuration for `npm test` in its folder.
export default defineConfig({
  test: { projects: ["packages/*", "../samples/Magasin/web"] },
});
