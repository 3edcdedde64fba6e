import { readFile } from 'node:fs/promises';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { bundlesFolder } from './processes.ts';

const HEADERS = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' };

/** Answers with these frames and leaves the stream open. */
export function stream(...frames: string[]): RequestListener {
  return (_req, res) => void res.writeHead(200, HEADERS).write(['retry: 50', ...frames, ''].join('\n\n'));
}

/** Opens a stream that the test feeds: its response is in `responses`. */
export function streamBy(responses: ServerResponse[]): RequestListener {
  return (_req, res) => {
    res.writeHead(200, HEADERS).flushHeaders();
    responses.push(res);
  };
}

export function answer(status: number, headers: Record<string, string> = {}): RequestListener {
  return (_req, res) => void res.writeHead(status, headers).end();
}

export const silence: RequestListener = () => {};

/**
 * Gives these answers to GET in turn, and the last of them again and again. Answers HEAD with `head`, or as the last GET.
 * Keeps all requests in `requests`.
 */
export function inTurn(
  answers: RequestListener[],
  requests: IncomingMessage[],
  head?: RequestListener,
): RequestListener {
  return (req, res) => {
    requests.push(req);
    if (req.method === 'HEAD' && head) return head(req, res);
    const gets = requests.filter(({ method }) => method === 'GET').length;
    return answers[Math.min(gets, answers.length) - 1]?.(req, res);
  };
}

/** Method and path of each request. */
export function asked(requests: IncomingMessage[]): string[] {
  return requests.map(({ method, url }) => `${method} ${url}`);
}

/** Answers with the page `html`, and with scripts that bundles.ts made; leaves the rest to `listener`. */
export function pageOr(html: string, listener: RequestListener): RequestListener {
  return async (req, res) => {
    const { url = '' } = req;
    if (url === '/') res.setHeader('Content-Type', 'text/html').end(html);
    else if (url === '/favicon.ico') res.writeHead(404).end();
    else if (!url.endsWith('.js')) listener(req, res);
    else {
      const script = await readFile(join(bundlesFolder ?? '', 'page', url));
      res.setHeader('Content-Type', 'text/javascript').end(script);
    }
  };
}
