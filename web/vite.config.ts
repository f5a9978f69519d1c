// Build, development server and unit tests in one place. The build must be the same byte for byte on every machine:
// no time stamps, names hashed from content, and every URL relative so that any path prefix works.
import { writeFileSync, mkdirSync } from 'node:fs';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';
import { mockApi } from './mock/plugin.ts';

/** The Rust server puts the real prefix in place of this text; `vite dev` and `vite preview` do it here. */
const BASE_PLACEHOLDER = '/__CAIRN_BASE__/';

function basePlaceholder(): Plugin {
  return {
    name: 'cairn-base',
    apply: 'serve',
    transformIndexHtml: (html) => html.replace(BASE_PLACEHOLDER, '/'),
  };
}

/** Writes which chunk imports which, for scripts/check-size.mjs. Outside dist: the binary need not carry it. */
function bundleGraph(): Plugin {
  return {
    name: 'cairn-bundle-graph',
    apply: 'build',
    writeBundle(_options, bundle) {
      const graph = Object.values(bundle).map((item) =>
        item.type === 'chunk'
          ? {
              file: item.fileName,
              name: item.name,
              entry: item.isEntry,
              imports: item.imports,
              dynamicImports: item.dynamicImports,
              source: item.facadeModuleId?.replace(/^.*\/web\//, '') ?? null,
              css: [...((item as { viteMetadata?: { importedCss: Set<string> } }).viteMetadata?.importedCss ?? [])],
            }
          : { file: item.fileName },
      );
      mkdirSync('node_modules/.cairn', { recursive: true });
      writeFileSync('node_modules/.cairn/bundle.json', JSON.stringify(graph, null, 1));
    },
  };
}

/** `CAIRN_API` takes the whole API from a running Cairn, `CAIRN_PROM` only `/api/v1` from a running Prometheus; else all is mocked. */
const proxies: Record<string, string> = {
  ...(process.env.CAIRN_API ? { '/api/': process.env.CAIRN_API } : {}),
  ...(process.env.CAIRN_PROM ? { '/api/v1/': process.env.CAIRN_PROM } : {}),
};

const CORE = /node_modules\/@?preact|src\/(ui|api|router|range|time|prefs|theme|shortcuts|site|format|matrix)\b/;

export default defineConfig({
  base: './',
  plugins: [basePlaceholder(), bundleGraph(), mockApi(Object.keys(proxies))],
  build: {
    target: ['chrome123', 'firefox120', 'safari17.5'],
    outDir: 'dist',
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        // What every page needs lies in one chunk: a dozen small ones would compress worse and cost a dozen requests.
        codeSplitting: { groups: [{ name: 'core', test: CORE }] },
      },
    },
  },
  server: {
    host: '127.0.0.1',
    proxy: proxies,
  },
  test: {
    environment: 'happy-dom',
    env: { TZ: 'UTC' },
    include: ['src/**/*.test.{ts,tsx}', 'mock/**/*.test.ts'],
  },
});
