/** The HTTP server of the daemon. It is a bystander: tunnel traffic never passes through it, and it knows nothing but its source. */

import { once } from 'node:events';
import { chmod, rm, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { SluiceError } from '../core/base/errors.ts';
import { type AppOptions, answer, createApp } from './app.ts';
import { API_ERRORS, ApiError, type ApiErrorCode, errorBody } from './errors.ts';
import { EventStreams } from './event-streams.ts';
import { checkHost } from './host-check.ts';
import { formatListen, type ListenAddress } from './listen.ts';

export interface ApiOptions extends Omit<AppOptions, 'streams'> {
  readonly listen: ListenAddress;
}

const LIMITS = {
  // Asked for in `requireHost`, so that the answer has a body.
  requireHostHeader: false,
  headersTimeout: 10_000,
  requestTimeout: 20_000,
  connectionsCheckingInterval: 5_000,
  /** Longer than proxies keep an idle connection (nginx: 60 s), or they would now and then send into a closing one. */
  keepAliveTimeout: 75_000,
  maxHeaderSize: 16 * 1024,
} as const;
const MAX_CONNECTIONS = 128;
/** What is being answered may be finished for so long. */
const CLOSE_LIMIT_MS = 500;

export class ApiServer {
  /** Where it listens, the real port filled in. */
  readonly address: ListenAddress;
  readonly #server: Server;
  readonly #streams: EventStreams;

  /** Throws `ERR_API_LISTEN`. */
  static async listen({ listen, ...options }: ApiOptions): Promise<ApiServer> {
    const streams = new EventStreams(options.source);
    const app = createApp({ ...options, streams });
    const next = getRequestListener(app.fetch, { overrideGlobalObjects: false, errorHandler: answerUnreadable });
    const server = createServer(LIMITS, (request, response) => admit(request, response, next));
    server.maxConnections = MAX_CONNECTIONS;
    server.on('clientError', answerBrokenRequest);
    try {
      return new ApiServer(server, streams, await bind(server, listen));
    } catch (cause) {
      streams.close();
      server.close();
      throw listenError(listen, cause);
    }
  }

  private constructor(server: Server, streams: EventStreams, address: ListenAddress) {
    this.#server = server;
    this.#streams = streams;
    this.address = address;
  }

  /** Ends the streams, and every connection that is not done in half a second. */
  async close(): Promise<void> {
    this.#streams.close();
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeIdleConnections();
    const limit = setTimeout(() => this.#server.closeAllConnections(), CLOSE_LIMIT_MS);
    await closed;
    clearTimeout(limit);
  }
}

type Listener = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** The door: nothing behind it sees a request under a foreign name. */
function admit(request: IncomingMessage, response: ServerResponse, next: Listener): void {
  try {
    requireHost(request);
  } catch (error) {
    const { code, message } = error as ApiError;
    response.writeHead(API_ERRORS[code].status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
    response.end(JSON.stringify(errorBody(code, message)));
    return;
  }
  // It has been judged, and is of no further use: addresses are built from it.
  request.headers.host = 'localhost';
  void next(request, response);
}

/** RFC 9112 §3.2: exactly one Host. A target with a host of its own is for proxies, and this is none. */
function requireHost({ headersDistinct, url = '', socket }: IncomingMessage): void {
  const hosts = headersDistinct['host'] ?? [];
  if (hosts.length !== 1) throw new ApiError('ERR_API_REQUEST', 'The request needs exactly one Host header.');
  if (!url.startsWith('/')) throw new ApiError('ERR_API_REQUEST', 'The request’s target is not a path.');
  const verdict = checkHost(hosts[0]!, socket.localAddress);
  if (verdict === 'malformed') throw new ApiError('ERR_API_REQUEST', 'The Host header is not a host.');
  if (verdict === 'foreign') throw new ApiError('ERR_API_HOST', 'The API does not answer under this host name.');
}

function answerUnreadable(): Response {
  return answer(API_ERRORS.ERR_API_REQUEST.status, errorBody('ERR_API_REQUEST', 'The request cannot be read.'));
}

const BROKEN: Readonly<Record<string, ApiErrorCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'ERR_API_TIMEOUT',
  HPE_HEADER_OVERFLOW: 'ERR_API_HEADERS',
};

/** Bytes that are no HTTP never become a request; Node hands over the bare socket. */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable) return void socket.destroy();
  const code = BROKEN[error.code ?? ''] ?? 'ERR_API_REQUEST';
  const body = JSON.stringify(errorBody(code, 'The request cannot be read.'));
  socket.end(
    [
      `HTTP/1.1 ${API_ERRORS[code].status} Refused`,
      'Content-Type: application/json',
      'Cache-Control: no-store',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  );
}

async function bind(server: Server, listen: ListenAddress): Promise<ListenAddress> {
  if (listen.kind === 'tcp') {
    await once(server.listen({ host: listen.host, port: listen.port }), 'listening');
    const address = server.address();
    return typeof address === 'object' && address ? { ...listen, port: address.port } : listen;
  }
  await removeDeadSocket(listen.path);
  await once(server.listen({ path: listen.path }), 'listening');
  await chmod(listen.path, 0o600);
  return listen;
}

/** A process that was killed leaves its socket's file behind, which nobody answers any more. */
async function removeDeadSocket(path: string): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  if (!there?.isSocket()) return;
  const socket = connect(path);
  try {
    await once(socket, 'connect');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') await rm(path, { force: true });
  } finally {
    socket.destroy();
  }
}

function listenError(listen: ListenAddress, cause: unknown): SluiceError {
  const { code = '' } = cause as NodeJS.ErrnoException;
  const where = formatListen(listen);
  const [what, hint] = LISTEN_FAULTS[code] ?? ['it cannot be used', undefined];
  return new SluiceError('ERR_API_LISTEN', `The API cannot listen on ${where}: ${what}.`, {
    cause,
    ...(hint === undefined ? {} : { hint }),
  });
}

const LISTEN_FAULTS: Readonly<Record<string, readonly [what: string, hint?: string]>> = {
  EADDRINUSE: ['another program does so already'],
  EADDRNOTAVAIL: ['this host does not have that address', 'Name an address of this host, or 127.0.0.1.'],
  EACCES: ['that is not permitted', 'Choose a port from 1024 on, or a folder that you may write to.'],
  ENOENT: ['its folder does not exist', 'Make the folder, or name another one.'],
};
