import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import vue from "@vitejs/plugin-vue";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Write each script and stylesheet of the build compressed, too. */
function compress(): Plugin {
  return {
    name: "compress",
    apply: "build",
    writeBundle({ dir }, bundle) {
      for (const name of Object.keys(bundle).filter((name) => /\.(js|css)$/.test(name))) {
        const path = join(dir!, name);
        const content = readFileSync(path);
        const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
        writeFileSync(`${path}.br`, brotliCompressSync(content, quality));
        writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }));
      }
    },
  };
}

const SERVER = "http://127.0.0.1:8000";

export default defineConfig({
  // Relative to <base>, so that the same build works under any path.
  base: "./",
  plugins: [vue(), compress()],
  build: {
    target: "es2022",
    // Small files stay files: the Content-Security-Policy allows no inline scripts or styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      "^/(post|user|tag|live|password|email|token|refresh_token|logout|docs|swagger|openapi.json)(/|$)":
        {
          target: SERVER,
          // Pages of the client, such as /tag/x, are not the API's.
          bypass: ({ headers }) =>
            headers.accept?.includes("text/html") ? "/index.html" : undefined,
        },
    },
  },
  test: { environment: "happy-dom", include: ["src/**/*.test.ts"] },
});
