// Answers /api for `vite dev` from `mock/api.ts`, so that pages can be seen without a server.
import type { Plugin } from 'vite';
import { respond } from './api.ts';

/** `except`: path prefixes that a proxy answers. */
export function mockApi(except: string[]): Plugin {
  return {
    name: 'cairn-mock-api',
    apply: 'serve',
    configureServer(server) {
      server.middlewares.use((req, res, next) => {
        const url = new URL(req.url ?? '/', 'http://mock');
        if (!url.pathname.startsWith('/api/') || except.some((prefix) => url.pathname.startsWith(prefix))) return next();
        let body = '';
        req.on('data', (chunk: Buffer) => (body += chunk.toString()));
        req.on('end', () => {
          const params = new URLSearchParams(url.search);
          if (req.headers['content-type']?.includes('urlencoded')) {
            for (const [key, value] of new URLSearchParams(body)) params.append(key, value);
          }
          const answer = respond(url.pathname, params, Date.now());
          res.statusCode = answer.status;
          res.setHeader('content-type', 'application/json');
          res.end(JSON.stringify(answer.body));
        });
      });
    },
  };
}
