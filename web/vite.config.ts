import { defineConfig } from "vite";

// Two files with names that stay: what is committed changes only where the page does.
export default defineConfig({
  base: "./",
  publicDir: "public",
  build: {
    outDir: "../internal/monitor/page/dist",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: false,
    rollupOptions: {
      output: { entryFileNames: "app.js", assetFileNames: "app[extname]" },
    },
  },
  server: { proxy: { "/api": "http://127.0.0.1:9780" } },
});
