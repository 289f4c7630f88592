/** The API as an application: who may ask, what is answered, and what an answer looks like when there is none. */

import type { IncomingMessage } from 'node:http';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { type Context, Hono } from 'hono';
import { SluiceError } from '../core/base/errors.ts';
import { Credentials } from './credentials.ts';
import { API_ERRORS, ApiError, type ErrorBody, errorBody } from './errors.ts';
import type { EventStreams } from './event-streams.ts';
import { EVENTS_ROUTE, ROUTES, type Route } from './routes.ts';
import type { ApiSource } from './source.ts';

export interface AppOptions {
  readonly apiKey: string;
  readonly source: ApiSource;
  readonly streams: EventStreams;
  /** Gets what went wrong inside: the caller is told only that something did. */
  readonly onError: (error: unknown) => void;
}

interface Env {
  Bindings: HttpBindings;
}

const BODY_LIMIT_BYTES = 16 * 1024;

/** The order is the rule: what is public stands before the credential is asked for, everything else behind. */
export function createApp({ apiKey, source, streams, onError }: AppOptions): Hono<Env> {
  const app = new Hono<Env>();
  const credentials = new Credentials(apiKey);
  const open = (route: Route): void => {
    app.on(route.method, route.path, async (c) => {
      const { status, body } = await route.answer(
        source,
        route.method === 'GET' ? undefined : await bodyOf(c.env.incoming),
      );
      return answer(status, body);
    });
  };
  for (const route of ROUTES) if (route.public) open(route);
  app.use(async (c, next) => {
    if (!credentials.accept(c.env.incoming.headers))
      throw new ApiError('ERR_API_UNAUTHORIZED', 'The request has no valid API key.');
    await next();
  });
  for (const route of ROUTES) if (!route.public) open(route);
  app.on(EVENTS_ROUTE.method, EVENTS_ROUTE.path, (c) => {
    // Answered as a GET without a body, a HEAD would never end.
    if (c.env.incoming.method === 'HEAD') return refuseMethod(c, ['GET']);
    streams.open(c.env.outgoing, c.req.header('Last-Event-ID'));
    return RESPONSE_ALREADY_SENT;
  });
  app.notFound((c) => {
    const allowed = methodsOf(c.req.path);
    if (allowed.length > 0) return refuseMethod(c, allowed);
    throw new ApiError('ERR_API_NOT_FOUND', 'There is nothing at this path.');
  });
  app.onError((error) => {
    const [status, body, headers] = answerTo(error);
    if (status === API_ERRORS.ERR_API_INTERNAL.status) onError(error);
    return answer(status, body, headers);
  });
  return app;
}

/** JSON that nobody stores, and no browser takes for anything else. */
export function answer(status: number, body: object, headers: Readonly<Record<string, string>> = {}): Response {
  return Response.json(body, {
    status,
    headers: { ...headers, 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' },
  });
}

/** `undefined` without a body. Only what is declared as JSON is read: a form on a stranger's page cannot declare that unasked. */
async function bodyOf(incoming: IncomingMessage): Promise<unknown> {
  const bytes = await bytesOf(incoming);
  if (bytes.length === 0) return undefined;
  if (!/^application\/json\s*(;|$)/i.test(incoming.headers['content-type'] ?? ''))
    throw new ApiError('ERR_API_MEDIA_TYPE', 'The body is not declared as JSON.');
  try {
    return JSON.parse(bytes.toString());
  } catch {
    throw new ApiError('ERR_API_REQUEST', 'The body is not JSON.');
  }
}

async function bytesOf(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > BODY_LIMIT_BYTES)
      throw new ApiError('ERR_API_TOO_LARGE', `The body is larger than ${BODY_LIMIT_BYTES / 1024} KiB.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function refuseMethod(c: Context<Env>, allowed: readonly string[]): Response {
  const body = errorBody('ERR_API_METHOD', `This path does not take ${c.env.incoming.method}.`);
  return answer(API_ERRORS.ERR_API_METHOD.status, body, { Allow: allowed.join(', ') });
}

function methodsOf(path: string): readonly string[] {
  if (path === EVENTS_ROUTE.path) return [EVENTS_ROUTE.method];
  return ROUTES.filter((route) => route.path === path).flatMap(({ method }) =>
    method === 'GET' ? ['GET', 'HEAD'] : [method],
  );
}

function answerTo(error: unknown): [status: number, body: ErrorBody, headers?: Record<string, string>] {
  if (error instanceof SluiceError) {
    const { code, message, hint } = error;
    return [503, { error: { code, message, hint } }];
  }
  const { code, message } =
    error instanceof ApiError ? error : new ApiError('ERR_API_INTERNAL', 'Something went wrong inside.');
  const challenge = code === 'ERR_API_UNAUTHORIZED' ? { 'WWW-Authenticate': 'Bearer realm="sluice"' } : {};
  return [API_ERRORS[code].status, errorBody(code, message), challenge];
}
