import { defineConfig } from "vite";

export default defineConfig({
  // Relative, so that the page also works below a sub path of a reverse proxy.
  base: "./",
  build: {
    target: "es2022",
    // Everything stays a file of its own: a strict Content-Security-Policy needs no `data:`.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    license: { fileName: "licenses.md" },
  },
});
