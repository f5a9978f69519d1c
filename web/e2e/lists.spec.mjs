// Targets, alerts and rules of a server with one target that is down and rules that see it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { needsBinary, openPage, startBrowser, startServer } from './support.mjs';

const skip = needsBinary;
// Port 9 (discard) refuses on any sane machine.
const CONFIG = `
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [rules.yml]
scrape_configs:
  - job_name: gone
    static_configs: [{ targets: ['127.0.0.1:9'], labels: { site: north } }]
`;
const RULES = `
groups:
  - name: hosts
    rules:
      - alert: InstanceDown
        expr: up == 0
        labels: { severity: critical }
        annotations: { summary: '{{ $labels.instance }} is down' }
      - alert: NeverFires
        expr: up > 1
      - record: job:up:sum
        expr: sum by (job) (up)
`;

let server;
let browser;

before(async () => {
  if (skip) return;
  browser = await startBrowser();
  server = await startServer({ 'prometheus.yml': CONFIG, 'rules.yml': RULES });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('a target that is down says why; the filter and the search find it', { skip }, async () => {
  const page = await openPage(browser);
  await page.goto(`${server.url}/targets?refresh=5s`);
  const gone = page.locator('.target', { hasText: '127.0.0.1:9/metrics' });
  await gone.locator('.note.bad').waitFor({ timeout: 15_000 });
  assert.match(await gone.innerText(), /refused/i);
  assert.match(await gone.innerText(), /site=north/);
  await page.getByRole('button', { name: /^Down/ }).click();
  assert.equal(await page.locator('.target').count(), 1);
  await page.getByRole('searchbox').fill('nothing like this');
  await page.getByText('No target matches').waitFor();
  page.assertClean();
  await page.done();
});

test('the alert fires, with its labels, value and expression', { skip }, async () => {
  const page = await openPage(browser);
  await page.goto(`${server.url}/alerts?refresh=5s`);
  const alert = page.locator('.alert', { hasText: '127.0.0.1:9 is down' });
  await alert.waitFor({ timeout: 20_000 });
  const text = await alert.innerText();
  assert.match(text, /firing/);
  assert.match(text, /severity=critical/);
  assert.match(text, /Value 0/);
  await page.getByRole('button', { name: /^Inactive/ }).click();
  await page.locator('.rule-name', { hasText: 'NeverFires' }).waitFor();
  assert.equal(await page.locator('.rule').count(), 1);
  await page.getByRole('button', { name: /^Firing/ }).click();
  await page.locator('.query-link', { hasText: 'up == 0' }).click();
  await page.waitForURL((url) => url.pathname === '/explore' && url.searchParams.get('g0.expr') === 'up == 0');
  page.assertClean();
  await page.done();
});

test('rules show their health and how long they took', { skip }, async () => {
  const page = await openPage(browser);
  await page.goto(`${server.url}/rules?type=recording&refresh=5s`);
  const rule = page.locator('.rule', { hasText: 'job:up:sum' });
  await rule.getByText('ok', { exact: true }).waitFor({ timeout: 15_000 });
  assert.match(await rule.innerText(), /ago in [\d.]+ (ms|s)/);
  page.assertClean();
  await page.done();
});

test('home names the trouble', { skip }, async () => {
  const page = await openPage(browser);
  await page.goto(`${server.url}/?refresh=5s`);
  await page.locator('.brief', { hasText: 'InstanceDown' }).waitFor({ timeout: 20_000 });
  await page.locator('.brief', { hasText: '127.0.0.1:9' }).first().waitFor();
  page.assertClean();
  await page.done();
});
