import react from "@vitejs/plugin-react";
import { defaultClientConditions } from "vite";
import { defineConfig } from "vitest/config";

// The Carillon packages are read from source inside this repository, so that one command builds everything from a fresh `npm ci`.
const source = "carillon-source";

export default defineConfig({
  plugins: [react()],
  base: "./",
  resolve: { conditions: [source, ...defaultClientConditions] },
  ssr: { resolve: { conditions: [source] } },
  build: { outDir: "../wwwroot", emptyOutDir: true, chunkSizeWarningLimit: 700 },
  server: {
    port: 5173,
    proxy: {
      "/api": { target: "http://127.0.0.1:8080", changeOrigin: false },
      "/socket.io": { target: "http://127.0.0.1:8080", ws: true },
    },
  },
  test: { name: "magasin", environment: "jsdom", include: ["test/**/*.test.{ts,tsx}"] },
});
