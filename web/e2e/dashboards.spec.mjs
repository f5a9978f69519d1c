// Dashboards: the list, each that comes with Cairn, one panel alone, variables in the URL, import, phone, access.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  anyServer,
  assertAccessible,
  assertNoSidewaysScroll,
  needsBinary,
  needsServer,
  openPage,
  startBrowser,
} from './support.mjs';

const skip = needsServer;
const OWN = ['cairn-system', 'cairn-api', 'cairn-postgresql', 'cairn-redis'];

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

/** Opens a dashboard and waits until no panel near the screen is loading. */
async function board(page, uid, query = '') {
  await page.goto(`${server.url}/d/${uid}${query}`);
  await page.locator('.panel').first().waitFor();
  await page.waitForFunction(
    () => document.querySelectorAll('.panel-body > *').length > 0 && !document.querySelector('.panel-head .spinner'),
  );
}

test('the list shows what comes with Cairn, and search narrows it', { skip }, async () => {
  const page = await openPage(browser);
  await page.goto(`${server.url}/dashboards`);
  const item = page.locator('.board-item');
  await item.first().waitFor();
  for (const name of ['System', 'API', 'PostgreSQL', 'Redis'])
    assert.equal((await page.getByRole('link', { name: new RegExp(`^${name}\\b`) }).count()) > 0, true, name);
  await page.getByRole('searchbox').fill('redis');
  assert.match(await item.first().innerText(), /Redis/);
  await assertAccessible(page, 'the list of dashboards');
  page.assertClean();
  await page.done();
});

for (const uid of OWN) {
  test(`${uid}: every panel draws something, nothing fails, nothing is missing`, { skip }, async () => {
    const page = await openPage(browser);
    await board(page, uid);
    assert.deepEqual(await page.locator('.panel-error').allInnerTexts(), []);
    assert.equal(await page.locator('.board-missing').count(), 0);
    page.assertClean();
    await page.done();
  });
}

for (const scheme of ['dark', 'light']) {
  test(`a dashboard is accessible (${scheme})`, { skip }, async () => {
    const page = await openPage(browser, { scheme });
    await board(page, 'cairn-system');
    await assertAccessible(page, `cairn-system, ${scheme}`);
    await page.done();
  });
}

test('on a phone: one column, no sideways scroll', { skip }, async () => {
  const page = await openPage(browser, { width: 360, height: 740 });
  await board(page, 'cairn-system');
  await assertNoSidewaysScroll(page, 'cairn-system');
  const lefts = await page.$$eval('.panel', (all) => [
    ...new Set(all.map((p) => Math.round(p.getBoundingClientRect().left))),
  ]);
  assert.equal(lefts.length, 1, 'all panels begin at the same edge');
  await page.goto(`${server.url}/dashboards`);
  await page.locator('.board-item').first().waitFor();
  await assertNoSidewaysScroll(page, 'the list');
  await page.done();
});

test('one panel alone and back, in the URL', { skip }, async () => {
  const page = await openPage(browser);
  await board(page, 'cairn-system', '?viewPanel=1');
  assert.equal(await page.locator('.panel').count(), 1);
  await page.getByRole('button', { name: 'All panels' }).click();
  await page.waitForFunction(() => document.querySelectorAll('.panel').length > 5);
  assert.equal(new URL(page.url()).searchParams.has('viewPanel'), false);
  await page.goBack();
  await page.waitForFunction(() => document.querySelectorAll('.panel').length === 1);
  await page.done();
});

test('a variable from the URL reaches the queries', { skip }, async () => {
  const page = await openPage(browser);
  const asked = [];
  page.on('request', (request) => {
    if (/\/api\/v1\/query/.test(request.url()))
      asked.push(decodeURIComponent((request.postData() ?? request.url()).replace(/\+/g, ' ')));
  });
  await board(page, 'cairn-redis', '?var-instance=no-such-host:1');
  assert.ok(asked.length > 0);
  assert.ok(
    asked.every((query) => !query.includes('$')),
    'no variable is left in a query',
  );
  assert.ok(
    asked.some((query) => query.includes('no-such-host:1')),
    asked[0],
  );
  await page.done();
});

test('a panel that fails says why and keeps what it had', { skip }, async () => {
  const page = await openPage(browser);
  const answer = (value) => ({
    json: {
      status: 'success',
      data: {
        resultType: 'matrix',
        result: [{ metric: { instance: 'a' }, values: [[Math.floor(Date.now() / 1000) - 60, value]] }],
      },
    },
  });
  await page.route('**/api/v1/query_range', (route) => route.fulfill(answer('42')));
  await board(page, 'cairn-system');
  const first = page.locator('.panel').first();
  await first.getByText('42.0%').first().waitFor({ state: 'attached' });
  await page.unroute('**/api/v1/query_range');
  await page.route('**/api/v1/query_range', (route) =>
    route.fulfill({ status: 422, json: { status: 'error', errorType: 'execution', error: 'query over budget' } }),
  );
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await first.getByText('query over budget').waitFor();
  await first.getByText('42.0%').first().waitFor({ state: 'attached' });
  await page.done();
});

test('import says what is wrong and what is missing', { skip }, async () => {
  const page = await openPage(browser);
  await page.goto(`${server.url}/dashboards`);
  await page.getByRole('button', { name: 'Import' }).first().click();
  const text = page.getByRole('dialog').locator('textarea');
  const save = page.getByRole('dialog').getByRole('button', { name: 'Import' });
  await text.fill('{"title":');
  await page.getByText('This is not JSON').waitFor();
  assert.equal(await save.isDisabled(), true);
  await text.fill(
    JSON.stringify({ title: 'Mine', panels: [{ type: 'candlestick', title: 'Odd', targets: [{ expr: 'up' }] }] }),
  );
  await page.getByText('panel type candlestick').waitFor();
  assert.equal(await save.isDisabled(), false);
  await assertAccessible(page, 'the import dialog');
  await page.done();
});

test('an imported dashboard opens; what is unknown shows its data and its name', { skip: needsBinary }, async () => {
  const page = await openPage(browser);
  await page.goto(`${server.url}/dashboards`);
  await page.getByRole('button', { name: 'Import' }).first().click();
  const panels = [
    {
      id: 1,
      type: 'candlestick',
      title: 'Odd',
      gridPos: { x: 0, y: 0, w: 12, h: 8 },
      targets: [{ refId: 'A', expr: 'vector(42)', instant: true, format: 'table' }],
    },
  ];
  await page
    .getByRole('dialog')
    .locator('textarea')
    .fill(JSON.stringify({ uid: 'e2e-imported', title: 'Imported', schemaVersion: 39, panels }));
  await page.getByRole('dialog').getByRole('button', { name: 'Import' }).click();
  await page.waitForURL(/\/d\/e2e-imported/);
  await page.getByText('Not shown as written: panel type candlestick').waitFor();
  await page.getByRole('cell', { name: '42', exact: true }).waitFor();
  page.assertClean();
  await page.done();
});
