// The default page of a server that was just started with nothing: it must show the host within ten seconds.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertAccessible, assertNoSidewaysScroll, colouredPixels, needsBinary, openPage, startBrowser, startServer } from './support.mjs';

let server;
let browser;
let startedAt;

before(async () => {
  if (needsBinary) return;
  browser = await startBrowser();
  startedAt = Date.now();
  server = await startServer();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('four graphs with lines within ten seconds of the start', { skip: needsBinary }, async () => {
  const page = await openPage(browser);
  await page.goto(server.url + '/');
  await page.waitForFunction(() => document.querySelectorAll('.graph[data-state=drawn] canvas').length === 4, null, { timeout: 10_000 });
  const titles = await page.locator('.graph-card h2').allTextContents();
  assert.deepEqual(titles, ['CPU', 'Memory', 'Disk', 'Network']);
  // A graph is drawn with its first two samples; a line is wider than these.
  let pixels = await colouredPixels(page);
  while (pixels.some((count) => count < 3) && Date.now() - startedAt < 10_000) {
    await page.waitForTimeout(100);
    pixels = await colouredPixels(page);
  }
  const elapsed = Date.now() - startedAt;
  assert.ok(elapsed <= 10_000, `drawn ${elapsed} ms after the start`);
  assert.equal(pixels.length, 4);
  for (const [i, count] of pixels.entries()) assert.ok(count >= 3, `${titles[i]} has ${count} coloured pixels`);
  page.assertClean();
  await page.done();
});

for (const scheme of ['dark', 'light']) {
  for (const width of [1280, 360]) {
    test(`home, ${scheme}, ${width} px`, { skip: needsBinary }, async () => {
      const page = await openPage(browser, { scheme, width, height: width < 600 ? 740 : 900 });
      await page.goto(server.url + '/');
      await page.waitForSelector('.graph[data-state=drawn]');
      await assertNoSidewaysScroll(page, 'home');
      await assertAccessible(page, 'home');
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const brightness = background.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3;
      assert.ok(scheme === 'dark' ? brightness < 60 : brightness > 200, background);
      page.assertClean();
      await page.done();
    });
  }
}
