/** The arguments of `connect` and `listen` in all the forms that node:net takes, checked as Node checks them, as one value each. */

import { type IpAddress, parseIp } from '../core/base/address.ts';
import type { SocketId } from '../core/netstack/messages.ts';
import {
  invalidArgType,
  invalidArgValue,
  missingArgs,
  nodeError,
  validateBoolean,
  validateNumber,
  validatePort,
  validateString,
} from './node-errors.ts';

/** @internal An option of `connect`, for the probe. */
export const ADMISSION: unique symbol = Symbol('admission');

/** Told each number before anything is asked under it. */
export interface Admission {
  admitSocket(socket: SocketId): void;
  admitQuery(query: number): void;
}

/** Options of `connect`. Unix sockets (`path`) are refused: they would leave the tunnel. */
export interface ConnectOptions {
  readonly port: number | string;
  /** An address, or a name that the tunnel's DNS resolves. */
  readonly host?: string | undefined;
  readonly family?: 0 | 4 | 6 | 'IPv4' | 'IPv6' | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  /** False: only the first address of a name is tried. */
  readonly autoSelectFamily?: boolean | undefined;
  /** How long one of several addresses is tried before the next, in milliseconds (2500; the last has no limit of its own). */
  readonly autoSelectFamilyAttemptTimeout?: number | undefined;
  /** Ignored: names are always resolved inside the tunnel. */
  readonly lookup?: unknown;
  /** As `setTimeout`, from the start of the connect. */
  readonly timeout?: number | undefined;
  readonly [ADMISSION]?: Admission | undefined;
}

/** Options of `listen`. */
export interface ListenOptions {
  readonly port?: number | string | null | undefined;
  readonly host?: string | undefined;
  readonly backlog?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Listens for what the provider forwards: on a free port inside, while `address()` tells the external port. */
  readonly forwarded?: boolean | undefined;
}

export interface ConnectTarget {
  readonly host: string;
  readonly port: number;
  readonly family: 4 | 6 | 0;
  readonly localAddress: IpAddress | undefined;
  readonly localPort: number;
  readonly firstOnly: boolean;
  readonly attemptTimeoutMs: number;
  readonly admission: Admission | undefined;
}

export interface ListenTarget {
  readonly host: string | undefined;
  readonly port: number;
  readonly backlog: number;
  readonly forwarded: boolean;
  readonly signal: AbortSignal | undefined;
}

type Listener = () => void;

/** Longer than Node's 250 ms, for a round trip through a VPN may take that long. */
const ATTEMPT_TIMEOUT_MS = 2_500;
const DEFAULT_BACKLOG = 511;

/** `(options[, cb])`, `(port[, host][, …][, cb])` or `([cb])` as options and callback. */
export function normalizeArguments(args: readonly unknown[]): [options: Record<string, unknown>, listener?: Listener] {
  const [first, second] = args;
  const last = args.at(-1);
  const listener = typeof last === 'function' ? [last as Listener] : [];
  if (typeof first === 'object' && first !== null) return [first as Record<string, unknown>, ...listener] as never;
  const options: Record<string, unknown> = {};
  if (isPath(first)) options['path'] = first;
  else if (args.length > 0) options['port'] = first;
  if (typeof second === 'string') options['host'] = second;
  return [options, ...listener] as never;
}

/** Throws ERR_MISSING_ARGS, ERR_SOCKET_BAD_PORT, ERR_INVALID_ARG_TYPE, ERR_INVALID_IP_ADDRESS. */
export function connectTarget(options: Record<string, unknown>): ConnectTarget {
  const { port, path, host, localAddress, localPort, family } = options;
  if (port === undefined && (path === undefined || path === null))
    throw missingArgs('"options" or "port" or "path" argument');
  if (path) throw noPath(path);
  if (localAddress && (typeof localAddress !== 'string' || !parseIp(localAddress)))
    throw nodeError(TypeError, 'ERR_INVALID_IP_ADDRESS', `Invalid IP address: ${String(localAddress)}`);
  if (localPort) validateNumber(localPort, 'options.localPort');
  if (typeof port !== 'number' && typeof port !== 'string')
    throw invalidArgType('options.port', 'one of type number or string', port);
  if (host) validateString(host, 'options.host');
  const autoSelect = options['autoSelectFamily'] ?? true;
  validateBoolean(autoSelect, 'options.autoSelectFamily');
  const attemptTimeoutMs = options['autoSelectFamilyAttemptTimeout'] ?? ATTEMPT_TIMEOUT_MS;
  validateNumber(attemptTimeoutMs, 'options.autoSelectFamilyAttemptTimeout');
  return {
    host: (host as string | undefined) || 'localhost',
    port: validatePort(port),
    family: family === 4 || family === 'IPv4' ? 4 : family === 6 || family === 'IPv6' ? 6 : 0,
    localAddress: localAddress ? parseIp(localAddress as string) : undefined,
    localPort: (localPort as number | undefined) || 0,
    firstOnly: !autoSelect,
    attemptTimeoutMs: Math.max(10, attemptTimeoutMs),
    admission: (options as { readonly [ADMISSION]?: Admission })[ADMISSION],
  };
}

/** Throws ERR_SOCKET_BAD_PORT, ERR_INVALID_ARG_VALUE, ERR_INVALID_ARG_TYPE. */
export function listenTarget(args: readonly unknown[], options: Record<string, unknown>): ListenTarget {
  const { path, host, backlog, forwarded, signal } = options;
  const fromArguments = [args[1], args[2]].map(Number).find((value) => value > 0);
  const implied =
    args.length === 0 || typeof args[0] === 'function' || forwarded || ('port' in options && options['port'] == null);
  const port = typeof args[0] === 'function' ? 0 : implied ? (options['port'] ?? 0) : options['port'];
  if (path) throw noPath(path);
  if ('fd' in options || 'handle' in options) throw invalidArgValue('options', options, 'cannot name a file or handle');
  if (typeof port !== 'number' && typeof port !== 'string')
    throw invalidArgValue('options', options, 'must have the property "port" or "path"');
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw invalidArgType('options.signal', 'an instance of AbortSignal', signal);
  return {
    host: (host as string | undefined) || undefined,
    port: validatePort(port, 'options.port'),
    backlog: (backlog as number | undefined) || fromArguments || DEFAULT_BACKLOG,
    forwarded: Boolean(forwarded),
    signal,
  };
}

function noPath(path: unknown): Error {
  return invalidArgValue('options.path', path, 'cannot be used: a tunnel has no Unix sockets');
}

function isPath(value: unknown): boolean {
  return typeof value === 'string' && !(Number(value) >= 0);
}
