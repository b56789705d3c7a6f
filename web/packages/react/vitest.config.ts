import { defineConfig } from "vitest/config";

const conditions = ["carillon-source"];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: { name: "react", environment: "jsdom", include: ["test/**/*.test.{ts,tsx}"] },
});
