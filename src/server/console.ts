import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import express, { type RequestHandler, type Router } from 'express';
import { filesOf } from './compression.js';
import { exchangeOf } from './exchange.js';
import { siteOf, type SiteOptions } from './site.js';

/**
 * The console: one page, whatever view its address names, and the files that it loads, whose names change with what is in
 * them. Anyone may load it; what it shows it asks the API for.
 */
export function consoleRouter(folder: string, site: SiteOptions): Router {
  const router = express.Router({ caseSensitive: true });
  const file = join(folder, 'index.html');
  // Absent after tsc alone: then there is only the API.
  if (!existsSync(file)) return router;
  const page = readFileSync(file, 'utf8');
  router.use('/assets', routed('/assets'), filesOf(join(folder, 'assets')));
  router.use((request, response, next) => {
    // Programs are told that there is nothing; a browser gets the page, which knows its views.
    const asked =
      (request.method === 'GET' || request.method === 'HEAD') &&
      (request.path === '/' || request.accepts(['json', 'html']) === 'html');
    if (!asked) {
      next();
      return;
    }
    exchangeOf(request).route = '/';
    const { secure } = siteOf(request.get('host') ?? '', site);
    response
      .set('content-security-policy', secure ? `${POLICY}; upgrade-insecure-requests` : POLICY)
      .set('cache-control', 'no-cache')
      .type('html')
      .send(page);
  });
  return router;
}

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const routed =
  (path: string): RequestHandler =>
  (request, _response, next) => {
    exchangeOf(request).route = path;
    next();
  };
