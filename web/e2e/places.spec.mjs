// The same UI in other places: below a path prefix, and on a server with several tenants.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { needsBinary, openPage, startBrowser, startServer } from './support.mjs';

let browser;

before(async () => {
  if (!needsBinary) browser = await startBrowser();
});
after(() => browser?.close());

test('below a path prefix every page and asset is found, deep links included', { skip: needsBinary }, async () => {
  const server = await startServer({}, ['--web.external-url=http://site.example/mon/x/']);
  try {
    assert.match(server.url, /\/mon\/x$/);
    const page = await openPage(browser);
    await page.goto(`${server.url}/`);
    await page.waitForSelector('.graph[data-state=drawn]', { timeout: 10_000 });
    await page.getByRole('link', { name: 'Targets', exact: true }).first().click();
    await page.waitForURL('**/mon/x/targets');
    await page.goto(`${server.url}/graph?g0.expr=up&g0.tab=1`);
    await page.waitForSelector('table');
    page.assertClean();
    await page.done();
  } finally {
    await server.stop();
  }
});

test('with several tenants the page shows the home tenant first and can change', { skip: needsBinary }, async () => {
  const server = await startServer({}, ['--auth.multitenancy-enabled']);
  try {
    const page = await openPage(browser);
    await page.goto(`${server.url}/`);
    await page.waitForSelector('.graph[data-state=drawn]', { timeout: 10_000 });
    assert.equal(await page.getByLabel('Tenant').inputValue(), 'anonymous');
    // The first request goes out before anyone chose a tenant.
    page.assertClean([/401/]);
    await page.done();
  } finally {
    await server.stop();
  }
});
