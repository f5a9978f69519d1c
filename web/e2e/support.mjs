// What every spec needs: the real binary on a free port, a browser, a page that notes what went wrong.
//
// Environment: `CAIRN_BIN` is the binary to start. `CAIRN_URL` instead uses a server that runs already (for example
// `npm run dev` with its mock); specs that need the fresh or the configured server are then skipped.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const BROWSER = process.env.CHROMIUM ?? '/usr/bin/chromium';
const BROWSER_ARGS = [
  '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run',
];
const START_MS = 20_000;
const STOP_MS = 10_000;
// Nothing here takes long; this is for a machine that is busy writing. What must be quick says its own bound.
const WAIT_MS = 25_000;

export const binary = process.env.CAIRN_BIN;
export const running = process.env.CAIRN_URL;
/** For `test(name, { skip: needsBinary }, …)`. */
export const needsBinary = binary ? false : 'CAIRN_BIN is not set';
export const needsServer = binary || running ? false : 'neither CAIRN_BIN nor CAIRN_URL is set';

/**
 * Starts the binary in an empty directory. `files` are written there first; with a `prometheus.yml` among them it is the
 * configuration. Resolves when the binary says where it listens.
 */
export async function startServer(files = {}, flags = []) {
  const dir = await mkdtemp(join(tmpdir(), 'cairn-e2e-'));
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
  const config = 'prometheus.yml' in files ? [`--config.file=${join(dir, 'prometheus.yml')}`] : [];
  const child = spawn(
    binary,
    ['--web.listen-address=127.0.0.1:0', `--storage.tsdb.path=${join(dir, 'data')}`, ...config, ...flags],
    { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let log = '';
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const url = await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no address within ${START_MS} ms:\n${log}`)), START_MS);
    const failed = (why) => {
      clearTimeout(late);
      reject(new Error(`${why}\n${log}`));
    };
    child.once('error', (error) => failed(error.message));
    child.once('exit', (code) => failed(`the server ended with ${code}`));
    child.stderr.on('data', (chunk) => (log += chunk));
    let out = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
      const found = /https?:\/\/127\.0\.0\.1:\d+\/\S*/.exec(out);
      if (!found) return;
      clearTimeout(late);
      resolve(found[0].replace(/\/$/, ''));
    });
  }).catch(async (error) => {
    child.kill('SIGKILL');
    await rm(dir, { recursive: true, force: true });
    throw error;
  });
  return {
    url,
    log: () => log,
    async stop() {
      child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      await exited;
      clearTimeout(killer);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** A server for specs that look at whatever is there: the running one, or a fresh one. */
export async function anyServer(files) {
  if (binary) return startServer(files);
  return { url: running.replace(/\/$/, ''), log: () => '', stop: async () => {} };
}

export function startBrowser() {
  return chromium.launch({ executablePath: BROWSER, args: BROWSER_ARGS });
}

/** A page that collects console errors and failed requests; `page.assertClean()` fails the test on any. */
export async function openPage(browser, { width = 1280, height = 900, scheme = 'dark' } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const problems = [];
  const outside = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') problems.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => problems.push(`uncaught: ${error.message}`));
  page.on('request', (request) => {
    const { hostname, protocol } = new URL(request.url());
    if (protocol.startsWith('http') && hostname !== '127.0.0.1') outside.push(request.url());
  });
  page.assertClean = (allowed = []) => {
    const left = problems.filter((problem) => !allowed.some((pattern) => pattern.test(problem)));
    assert.deepEqual(left, [], 'the console is free of errors');
    assert.deepEqual(outside, [], 'nothing is asked from outside');
  };
  page.done = () => context.close();
  return page;
}

const require = createRequire(import.meta.url);
let axeSource;

/** Fails on any violation of WCAG 2.2 A/AA that axe can see. Runs in the page's world, so a strict CSP does not stop it. */
export async function assertAccessible(page, what) {
  axeSource ??= await readFile(require.resolve('axe-core/axe.min.js'), 'utf8');
  await page.evaluate(axeSource);
  const violations = await page.evaluate(async () => {
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    const result = await globalThis.axe.run(document, { runOnly: tags });
    return result.violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.target.join(' ')).slice(0, 4).join(', ')}`);
  });
  assert.deepEqual(violations, [], `${what} is accessible`);
}

export async function assertNoSidewaysScroll(page, what) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(over <= 0, `${what} scrolls sideways by ${over} px`);
}

/** Pixels in the page's graphs that are coloured: lines and their fills, but not the grey grid. One number for each canvas. */
export function colouredPixels(page) {
  return page.evaluate(() =>
    [...document.querySelectorAll('.graph canvas')].map((canvas) => {
      const { width, height } = canvas;
      // A copy is read: Chromium warns when a canvas that is drawn on is read repeatedly.
      const copy = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, width, height);
      let coloured = 0;
      for (let i = 0; i < data.length; i += 4) {
        const [r, g, b, a] = data.subarray(i, i + 4);
        if (a > 200 && Math.max(r, g, b) - Math.min(r, g, b) > 60) coloured++;
      }
      return coloured;
    }),
  );
}
