// Fails when a route's first load, or all lazy chunks together, weigh more than the budget. Run after `vite build`.
//
// What a route loads first: the page itself, the entry with what it imports, and the route's chunk with what that imports.
// Chunks that are fetched later (the editor, other pages) count towards the lazy budget only.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const KB = 1000;
const BUDGET = { routeJs: 90 * KB, routeCss: 12 * KB, lazyJs: 350 * KB, editor: 170 * KB };

const graph = JSON.parse(readFileSync('node_modules/.cairn/bundle.json', 'utf8'));
const chunks = new Map(graph.filter((item) => item.imports).map((item) => [item.file, item]));
const sizes = new Map();

function size(file) {
  if (!sizes.has(file)) sizes.set(file, gzipSync(readFileSync(`dist/${file}`), { level: 9 }).length);
  return sizes.get(file);
}

/** A chunk and everything it imports statically. */
function closure(file, seen = new Set()) {
  if (!seen.has(file)) {
    seen.add(file);
    for (const other of chunks.get(file)?.imports ?? []) closure(other, seen);
  }
  return seen;
}

function weigh(files) {
  const css = new Set([...files].flatMap((file) => chunks.get(file)?.css ?? []));
  const sum = (list) => [...list].reduce((total, file) => total + size(file), 0);
  return { js: sum(files), css: sum(css) };
}

const entry = [...chunks.values()].find((chunk) => chunk.entry);
if (!entry) throw new Error('no entry chunk: run `npm run build` first');
const base = closure(entry.file);
const themeScript = size('theme.js');

const problems = [];
const kb = (bytes) => `${(bytes / KB).toFixed(1)} kB`.padStart(9);
function row(name, bytes, limit) {
  const over = bytes > limit;
  if (over) problems.push(`${name}: ${kb(bytes).trim()} is over ${kb(limit).trim()}`);
  return `${kb(bytes)} /${kb(limit)}${over ? ' !' : '  '}`;
}

console.log(`${'first load, gzip'.padEnd(22)}  ${'JS'.padStart(20)}   ${'CSS'.padStart(21)}`);
const first = new Set([...base].flatMap((file) => chunks.get(file).dynamicImports));
const routes = [...first].map((file) => chunks.get(file)).sort((a, b) => a.name.localeCompare(b.name));
for (const route of routes) {
  const { js, css } = weigh(new Set([...base, ...closure(route.file)]));
  console.log(`${route.name.padEnd(22)}  ${row(`JS of ${route.name}`, js + themeScript, BUDGET.routeJs)}  ${row(`CSS of ${route.name}`, css, BUDGET.routeCss)}`);
}

const lazy = [...chunks.keys()].filter((file) => !base.has(file));
console.log(`${'all lazy chunks'.padEnd(22)}  ${row('lazy JS', weigh(lazy).js, BUDGET.lazyJs)}`);
const editor = [...chunks.values()].find((chunk) => chunk.name === 'Editor');
if (editor) {
  const shared = new Set(routes.flatMap((route) => [...closure(route.file)]).concat([...base]));
  const own = [...closure(editor.file)].filter((file) => !shared.has(file));
  console.log(`${'editor'.padEnd(22)}  ${row('editor', weigh(own).js, BUDGET.editor)}`);
}

if (problems.length > 0) {
  console.error(`\nOver budget:\n  ${problems.join('\n  ')}`);
  process.exit(1);
}
