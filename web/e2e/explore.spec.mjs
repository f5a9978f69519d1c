// Explore: typing, running, tabs, mistakes, links of Prometheus, the way back.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { anyServer, needsServer, openPage, startBrowser } from './support.mjs';

const skip = needsServer;
let server;
let browser;

before(async () => {
  if (skip) return;
  browser = await startBrowser();
  server = await anyServer();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const editor = (page) => page.locator('.editor .cm-content').first();

/** Opens Explore and waits for the full editor. */
async function explore(page, query = '') {
  await page.goto(`${server.url}/explore${query}`);
  await editor(page).waitFor();
}

test('type, Enter, table: one row for each target', { skip }, async () => {
  const page = await openPage(browser);
  await explore(page);
  await editor(page).click();
  await page.keyboard.type('up');
  await page.keyboard.press('Control+Enter');
  await page.waitForURL((url) => url.searchParams.get('g0.expr') === 'up');
  await page.getByRole('tab', { name: 'Table' }).click();
  await page.locator('table.result tbody tr').first().waitFor();
  const rows = await page.locator('table.result tbody tr').allInnerTexts();
  assert.ok(rows.every((row) => /^up\{.*\}\s+[01]$/s.test(row.trim())), rows.join('\n'));
  assert.equal(new URL(page.url()).searchParams.get('tab'), 'table');
  page.assertClean();
  await page.done();
});

test('back undoes, forward redoes, a reload keeps', { skip }, async () => {
  const page = await openPage(browser);
  await explore(page, '?g0.expr=up&tab=table');
  await page.getByRole('tab', { name: 'Graph' }).click();
  await page.waitForURL((url) => !url.searchParams.has('tab'));
  await page.goBack();
  assert.equal(await page.getByRole('tab', { name: 'Table' }).getAttribute('aria-selected'), 'true');
  await page.goForward();
  assert.equal(await page.getByRole('tab', { name: 'Graph' }).getAttribute('aria-selected'), 'true');
  await page.reload();
  await editor(page).waitFor();
  assert.equal(await editor(page).innerText(), 'up');
  page.assertClean();
  await page.done();
});

test('a mistake is shown with its place', { skip }, async () => {
  const page = await openPage(browser);
  await explore(page, '?g0.expr=sum(rate(up[5m])');
  const note = page.locator('.query .note.bad');
  await note.waitFor();
  assert.match(await note.innerText(), /Line 1, column \d+/);
  assert.match(await note.innerText(), /parenthesis/);
  page.assertClean([/status of 400/]);
  await page.done();
});

test('a link of Prometheus opens its expression, range and tab', { skip }, async () => {
  const page = await openPage(browser);
  await page.goto(`${server.url}/graph?g0.expr=up&g0.tab=0&g0.range_input=2h`);
  await editor(page).waitFor();
  assert.equal(await editor(page).innerText(), 'up');
  assert.match(await page.getByRole('button', { name: /^Time range/ }).innerText(), /Last 2 hours/);
  assert.equal(await page.getByRole('tab', { name: 'Graph' }).getAttribute('aria-selected'), 'true');
  assert.equal(new URL(page.url()).search, '?g0.expr=up&from=now-2h&to=now');
  page.assertClean();
  await page.done();
});

test('completion offers metrics and functions', { skip }, async () => {
  const page = await openPage(browser);
  await explore(page);
  await editor(page).click();
  await page.keyboard.type('rat');
  await page.locator('.cm-tooltip-autocomplete').waitFor();
  assert.match(await page.locator('.cm-tooltip-autocomplete').innerText(), /rate/);
  await page.keyboard.press('Escape');
  page.assertClean();
  await page.done();
});

test('several queries are drawn together; a hidden one is left out', { skip }, async () => {
  const page = await openPage(browser);
  await explore(page, '?g0.expr=up&g1.expr=vector(1)&tab=table');
  await page.getByRole('region', { name: 'Result of B' }).waitFor();
  await page.getByRole('button', { name: 'Hide B' }).click();
  await page.getByRole('region', { name: 'Result of B' }).waitFor({ state: 'detached' });
  assert.equal(new URL(page.url()).searchParams.get('g1.hide'), '1');
  page.assertClean();
  await page.done();
});
