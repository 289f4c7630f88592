/** Talks to the daemon of a state folder, whose address and key stand there. */

import { request } from 'node:http';
import type { ListenAddress } from '../api/listen.ts';
import { ERRORS, type ErrorCode, SluiceError } from '../core/base/errors.ts';
import { readAddress } from '../daemon/address-file.ts';
import { readApiKey } from '../daemon/api-key.ts';
import { stateDirOf } from '../daemon/state-dir.ts';
import type { Arguments, Option } from './command.ts';
import type { Io } from './io.ts';

/** Of every command that talks to a daemon. */
export const DAEMON_OPTIONS: Readonly<Record<string, Option>> = {
  'state-dir': { value: 'DIR', help: 'The state folder that the daemon was started with.' },
};

export interface DaemonRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: object;
  /** How long the answer may take, in milliseconds. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;

export class DaemonClient {
  readonly #stateDir: string;
  readonly #stop: AbortSignal;

  constructor({ values }: Arguments, io: Io) {
    this.#stateDir = values['state-dir'] ?? stateDirOf(io.env);
    this.#stop = io.stop;
  }

  /**
   * The answer's body. Throws `ERR_NO_DAEMON` if nobody listens, the daemon's own error if it refuses, `ERR_DAEMON_ANSWER` for anything
   * else that is no answer.
   */
  async call<T extends object>(asked: DaemonRequest): Promise<T> {
    const [address, apiKey] = await Promise.all([readAddress(this.#stateDir), readApiKey(this.#stateDir)]);
    if (!address || apiKey === undefined) throw this.#noDaemon();
    const { status, text } = await this.#exchange(address, apiKey, asked);
    const body = parsed(text);
    if (status >= 200 && status < 300 && body) return body as T;
    throw refusal(status, body);
  }

  #exchange(
    address: ListenAddress,
    apiKey: string,
    { method, path, body, timeoutMs = TIMEOUT_MS }: DaemonRequest,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const call = request({
        ...(address.kind === 'unix'
          ? { socketPath: address.path }
          : { host: reachable(address.host), port: address.port }),
        method,
        path,
        agent: false,
        signal: this.#stop,
        timeout: timeoutMs,
        headers: {
          Host: 'localhost',
          Authorization: `Bearer ${apiKey}`,
          ...(payload === undefined
            ? {}
            : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(payload) }),
        },
      });
      call.on('timeout', () => call.destroy(new SluiceError('ERR_DAEMON_ANSWER', 'The daemon does not answer.')));
      call.on('error', (error: NodeJS.ErrnoException) =>
        reject(GONE.has(error.code ?? '') ? this.#noDaemon(error) : error),
      );
      call.on('response', (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      });
      call.end(payload);
    });
  }

  #noDaemon(cause?: Error): SluiceError {
    return new SluiceError('ERR_NO_DAEMON', `No daemon is running with the state folder ${this.#stateDir}.`, { cause });
  }
}

const GONE: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EADDRNOTAVAIL']);

/** A daemon that listens on every address listens on loopback too. */
function reachable(host: string): string {
  return { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
}

function parsed(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function refusal(status: number, body: object | undefined): SluiceError {
  const { error } = (body ?? {}) as { error?: { code?: string; message?: string; hint?: string } };
  const code = Object.hasOwn(ERRORS, error?.code ?? '') ? (error?.code as ErrorCode) : 'ERR_DAEMON_ANSWER';
  return new SluiceError(code, error?.message ?? `The daemon answered with HTTP status ${status}.`, {
    ...(error?.hint === undefined ? {} : { hint: error.hint }),
  });
}
