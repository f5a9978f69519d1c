// The frame: navigation by keyboard, themes, help, deep links, every page clean and accessible.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { anyServer, assertAccessible, assertNoSidewaysScroll, needsServer, openPage, startBrowser, binary } from './support.mjs';

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

test('g and a letter go to the pages, never while typing', { skip }, async () => {
  const page = await openPage(browser);
  await page.goto(server.url + '/');
  await page.waitForSelector('h1');
  for (const [key, path] of [['d', '/dashboards'], ['t', '/targets'], ['a', '/alerts'], ['e', '/explore'], ['h', '/']]) {
    await page.evaluate(() => document.activeElement?.blur?.());
    await page.keyboard.press('g');
    await page.keyboard.press(key);
    await page.waitForURL((url) => url.pathname === path);
    // The editor takes the focus when it has come; keys pressed after that are its own.
    if (path === '/explore') await page.locator('.cm-content').first().waitFor();
  }
  await page.goto(server.url + '/targets');
  await page.locator('input[type=search]').fill('');
  await page.locator('input[type=search]').pressSequentially('ga');
  assert.equal(new URL(page.url()).pathname, '/targets');
  assert.equal(new URL(page.url()).searchParams.get('q'), 'ga');
  page.assertClean();
  await page.done();
});

test('? lists the shortcuts, Escape closes the list and gives the focus back', { skip }, async () => {
  const page = await openPage(browser);
  await page.goto(server.url + '/alerts');
  await page.waitForSelector('h1');
  await page.keyboard.press('?');
  const dialog = page.getByRole('dialog', { name: 'Keyboard shortcuts' });
  await dialog.waitFor();
  assert.match(await dialog.innerText(), /Targets/);
  await assertAccessible(page, 'the list of shortcuts');
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  page.assertClean();
  await page.done();
});

test('a chosen theme is there before the first paint and stays', { skip }, async () => {
  const page = await openPage(browser, { scheme: 'dark' });
  await page.goto(server.url + '/status');
  await page.getByRole('button', { name: 'Light theme' }).click();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'light');
  // The attribute must be set when the body begins, not when the application starts.
  await page.addInitScript(() => {
    new MutationObserver((_, observer) => {
      if (!document.body) return;
      globalThis.themeAtBody = document.documentElement.dataset.theme ?? 'none';
      observer.disconnect();
    }).observe(document, { childList: true, subtree: true });
  });
  await page.reload();
  assert.equal(await page.evaluate(() => globalThis.themeAtBody), 'light');
  await page.getByRole('button', { name: 'System theme' }).click();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme ?? 'none'), 'none');
  page.assertClean();
  await page.done();
});

test('the phone reaches every page through the bar and its sheet', { skip }, async () => {
  const page = await openPage(browser, { width: 360, height: 740 });
  await page.goto(server.url + '/');
  await page.getByRole('button', { name: /^More/ }).click();
  await assertAccessible(page, 'the sheet');
  await page.getByRole('dialog').getByRole('link', { name: /Status/ }).click();
  await page.waitForURL((url) => url.pathname === '/status');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  page.assertClean();
  await page.done();
});

test('a lost server is said, and the banner goes when it is back', { skip }, async () => {
  const page = await openPage(browser);
  await page.goto(server.url + '/targets');
  await page.waitForSelector('h1');
  await page.route('**/api/**', (route) => route.abort());
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await page.getByText('The server does not answer. What you see').waitFor();
  await page.unroute('**/api/**');
  await page.getByText('The server does not answer. What you see').waitFor({ state: 'detached', timeout: 8000 });
  page.assertClean([/ERR_FAILED/]);
  await page.done();
});

const PAGES = ['/', '/dashboards', '/explore', '/explore?g0.expr=up', '/targets', '/alerts', '/rules', '/status', '/status/tsdb', '/status/config', '/status/flags', '/nowhere'];

for (const path of PAGES) {
  test(`${path} in both themes and widths`, { skip }, async () => {
    for (const [scheme, width] of [['dark', 1280], ['light', 1280], ['dark', 360], ['light', 360]]) {
      const page = await openPage(browser, { scheme, width, height: 800 });
      const answer = await page.goto(server.url + path);
      // An unknown page is one: the frame shows it, the status says it, and the browser notes that status.
      if (binary) assert.equal(answer.status(), path === '/nowhere' ? 404 : 200);
      await page.waitForSelector('main h1');
      await page.waitForFunction(() => !document.querySelector('main .loading'));
      await assertNoSidewaysScroll(page, `${path} at ${width} px`);
      await assertAccessible(page, `${path}, ${scheme}, ${width} px`);
      page.assertClean(path === '/nowhere' ? [/404/] : []);
      await page.done();
    }
  });
}
