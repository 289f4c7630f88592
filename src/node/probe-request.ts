/**
 * One question of the leak probe: a GET over the tunnel's own sockets, as plain as can be. It says nothing about who asks, follows no
 * redirect, takes no compression, reads 4 KiB at most, and trusts no certificate that does not verify.
 */

import http from 'node:http';
import tls from 'node:tls';
import { parseIp } from '../core/base/address.ts';
import { PROBE_ANSWER_LIMIT, type ProbeRequestFault } from '../core/guard/probe-answer.ts';
import type { TunnelNet } from './net.ts';
import { ADMISSION, type Admission } from './net-arguments.ts';

export interface ProbeRequest {
  readonly net: TunnelNet;
  /** Told of the look-up and of each socket: through a leak, only those go on. */
  readonly admission?: Admission;
  /** http: or https:. */
  readonly url: URL;
  /** The only family that is connected over. */
  readonly family: 4 | 6;
  /** Ends the request, wherever it stands, as a timeout. */
  readonly signal: AbortSignal;
  /** Whom to trust instead of Node's own list. */
  readonly ca?: string;
}

/** Headers longer than this are nobody's who has an address to tell. */
const MAX_HEADER_LENGTH = 8_192;

/** The body of a 200, or why there is none; a body that is longer than the limit is cut a little behind it. Never rejects. */
export function requestProbe(probe: ProbeRequest): Promise<Uint8Array | ProbeRequestFault> {
  const { net, admission, url, family, signal } = probe;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const literal = parseIp(host);
  if (signal.aborted) return Promise.resolve('timeout');
  if (literal && literal.family !== family) return Promise.resolve('no-name');
  return new Promise((resolve) => {
    const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
    const raw = net.connect({ host, port, family, [ADMISSION]: admission });
    let secured = url.protocol !== 'https:';
    const settle = (answer: Uint8Array | ProbeRequestFault): void => {
      signal.removeEventListener('abort', onAbort);
      resolve(answer);
      // Cut, a server that has not finished must not go on; while connecting, there is nobody to tell.
      const finished = typeof answer !== 'string' && answer.length <= PROBE_ANSWER_LIMIT;
      if (finished || raw.connecting) raw.destroy();
      else raw.resetAndDestroy();
    };
    const onAbort = (): void => settle('timeout');
    const onError = (error: NodeJS.ErrnoException): void => {
      const named = error.syscall === 'getaddrinfo' || error.code === 'ERR_DNS_NONE';
      const unverified = !secured && raw.bytesRead > 0;
      settle(named ? 'no-name' : unverified ? 'not-verified' : 'no-connection');
    };
    signal.addEventListener('abort', onAbort);
    // First of all who listen: what TLS and HTTP make of the socket's own error says less.
    raw.on('error', onError);
    const stream = secured ? raw : secure(raw, host, probe.ca, onError, () => (secured = true));
    const request = http.request({
      createConnection: () => stream,
      host,
      port,
      path: url.pathname + url.search,
      setHost: false,
      headers: { Host: url.host, Accept: '*/*', 'Accept-Encoding': 'identity', Connection: 'close' },
      maxHeaderSize: MAX_HEADER_LENGTH,
    });
    request.on('error', onError);
    request.on('close', () => settle('no-connection'));
    request.on('response', (response) => {
      response.on('error', onError);
      read(response, settle);
    });
    request.end();
  });
}

function secure(
  socket: ReturnType<TunnelNet['connect']>,
  host: string,
  ca: string | undefined,
  onError: (error: Error) => void,
  onSecure: () => void,
): tls.TLSSocket {
  const stream = tls.connect({
    socket,
    host,
    ...(parseIp(host) ? {} : { servername: host }),
    ALPNProtocols: ['http/1.1'],
    // Whatever NODE_TLS_REJECT_UNAUTHORIZED says.
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
  });
  return stream.on('error', onError).on('secureConnect', onSecure);
}

function read(response: http.IncomingMessage, settle: (answer: Uint8Array | ProbeRequestFault) => void): void {
  const { statusCode, headers } = response;
  const encoded = (headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity';
  if (statusCode !== 200 || encoded) {
    settle(statusCode === 200 ? 'encoded' : 'not-200');
    return;
  }
  const chunks: Buffer[] = [];
  let length = 0;
  response.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
    if (length > PROBE_ANSWER_LIMIT) settle(Buffer.concat(chunks).subarray(0, PROBE_ANSWER_LIMIT + 1));
  });
  response.on('end', () => settle(Buffer.concat(chunks)));
}
