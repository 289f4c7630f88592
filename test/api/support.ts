/** An API server on loopback over a source that does as it is told, and ways to ask it that fetch has not. */

import { EventEmitter, once } from 'node:events';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { type ListenAddress, parseListen } from '../../src/api/listen.ts';
import { ApiServer } from '../../src/api/server.ts';
import type { ApiSource } from '../../src/api/source.ts';
import type { ProbeStatus, StatusSnapshot, TunnelState } from '../../src/node/status.ts';
import type { TunnelEvents } from '../../src/node/tunnel-options.ts';

export const KEY = 'a-key-of-the-tests-with-32-letters';

export const PROBE: ProbeStatus = {
  verdict: 'ok',
  ipv4: { observed: '203.0.113.10', expected: ['203.0.113.10'] },
  ipv6: null,
  checkedAt: '2026-11-20T17:00:00.000Z',
  nextInSeconds: 211,
};

export class FakeSource extends EventEmitter<TunnelEvents> implements ApiSource {
  state: TunnelState = 'connected';
  readonly calls: string[] = [];
  failure: Error | undefined;

  status(): StatusSnapshot {
    if (this.failure) throw this.failure;
    return { state: this.state, portForward: { port: 54_321 } } as StatusSnapshot;
  }

  async probe(): Promise<ProbeStatus> {
    this.calls.push('probe');
    if (this.failure) throw this.failure;
    return PROBE;
  }

  async acceptExit(): Promise<ProbeStatus> {
    this.calls.push('acceptExit');
    return PROBE;
  }
}

export interface Served {
  readonly server: ApiServer;
  readonly source: FakeSource;
  readonly port: number;
  /** What the server said went wrong inside. */
  readonly errors: unknown[];
}

export async function serve(listen = '127.0.0.1:0'): Promise<Served> {
  const source = new FakeSource();
  const errors: unknown[] = [];
  const server = await ApiServer.listen({
    listen: parseListen(listen) as ListenAddress,
    apiKey: KEY,
    source,
    onError: (error) => errors.push(error),
  });
  return { server, source, port: server.address.kind === 'tcp' ? server.address.port : 0, errors };
}

export interface Asked {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string;
  readonly socketPath?: string;
  readonly host?: string;
  /** False: no credential. */
  readonly key?: boolean;
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: what came is what is tested.
  readonly json: any;
}

export async function ask(port: number, asked: Asked = {}): Promise<Answered> {
  const { method = 'GET', path = '/api/v1/status', headers = {}, body, socketPath, key = true, host } = asked;
  const call = request({
    ...(socketPath === undefined ? { host: host ?? '127.0.0.1', port } : { socketPath }),
    method,
    path,
    agent: false,
    headers: { ...(key ? { 'X-Api-Key': KEY } : {}), ...headers },
  });
  call.end(body);
  const [response] = (await once(call, 'response')) as [import('node:http').IncomingMessage];
  const answer = await text(response);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text: answer,
    json: answer.startsWith('{') ? JSON.parse(answer) : undefined,
  };
}

/** Sends bytes as they are and returns everything that comes until the server closes. */
export async function askRaw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(bytes);
  return await text(socket);
}
