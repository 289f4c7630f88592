/** The routes, as one table: method, path, who may ask, and what is answered. */

import { READY } from '../core/guard/policy.ts';
import type { StatusSnapshot } from '../node/status.ts';
import { ApiError } from './errors.ts';
import type { ApiSource } from './source.ts';

export interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Answered without a credential: tells nothing but what the table says. */
  readonly public?: true;
  /** One line for docs/reference/api.md. */
  readonly summary: string;
  /** `body`: parsed JSON, `undefined` without any. */
  answer(source: ApiSource, body: unknown): Answer | Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly body: object;
}

/** The stream of events has a path, but no answer of its own: `EventStreams` takes the response over. */
export const EVENTS_ROUTE = {
  method: 'GET',
  path: '/api/v1/events',
  summary: 'every event, as server-sent events; `Last-Event-ID` replays what was missed',
} as const;

export const ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/healthz',
    public: true,
    summary: 'the process is alive',
    answer: () => ({ status: 200, body: { status: 'ok' } }),
  },
  {
    method: 'GET',
    path: '/readyz',
    public: true,
    summary: '200 only while traffic may flow, else 503; the state word and nothing else',
    answer: (source) => readiness(source.status()),
  },
  {
    method: 'GET',
    path: '/api/v1/status',
    summary: 'the status snapshot',
    answer: (source) => ({ status: 200, body: source.status() }),
  },
  {
    method: 'GET',
    path: '/api/v1/port-forward',
    summary: '`portForward` of the snapshot',
    answer: (source) => ({ status: 200, body: source.status().portForward }),
  },
  {
    method: 'POST',
    path: '/api/v1/probe',
    summary:
      'compares the exit address with the expected one now, and answers `probe` of the snapshot when done; `{"accept":true}` first takes the present exit for right',
    answer: async (source, body) => ({
      status: 200,
      body: await (acceptOf(body) ? source.acceptExit() : source.probe()),
    }),
  },
];

function readiness({ state }: StatusSnapshot): Answer {
  return { status: READY[state] ? 200 : 503, body: { state } };
}

function acceptOf(body: unknown): boolean {
  if (body === undefined || body === null) return false;
  const known = typeof body === 'object' && Object.keys(body).every((key) => key === 'accept');
  const { accept = false } = body as { accept?: unknown };
  if (!known || typeof accept !== 'boolean')
    throw new ApiError('ERR_API_REQUEST', 'The body is something else than {"accept": true} or {"accept": false}.');
  return accept;
}
