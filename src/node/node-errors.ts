/**
 * Errors as Node makes them, for callers that look at `code`, `errno`, `syscall` and `message`: the world's faults (`ECONNRESET` …)
 * with libuv's numbers, and the caller's faults (`ERR_…`). Made here because Node does not export its own constructors.
 */

import { getSystemErrorMap } from 'node:util';

const numbers = new Map([...getSystemErrorMap()].map(([errno, [code, text]]) => [code, { errno, text }]));

export interface SystemErrorDetails {
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  /** Appended to the message: the local address of a connect. */
  readonly local?: string | undefined;
  /** Adds libuv's description to the message, as `listen` does. */
  readonly described?: boolean;
}

export interface SystemError extends NodeJS.ErrnoException {
  address?: string;
  port?: number;
  hostname?: string;
}

/** `connect ECONNREFUSED 192.0.2.1:80`, with errno, code, syscall, address and port set. */
export function systemError(code: string, syscall: string, details: SystemErrorDetails = {}): SystemError {
  const { address, port, local, described } = details;
  const known = numbers.get(code);
  const where = address ? ` ${address}${port ? `:${port}` : ''}` : '';
  const text = described ? `: ${known?.text ?? 'unknown error'}` : '';
  const error: SystemError = new Error(`${syscall} ${code}${text}${where}${local ? ` - Local (${local})` : ''}`);
  if (known) error.errno = known.errno;
  error.code = code;
  error.syscall = syscall;
  if (address !== undefined) error.address = address;
  if (port) error.port = port;
  return error;
}

/** An `ERR_…` of Node's: `code` set, `kind` one of TypeError, RangeError, Error. */
export function nodeError(kind: ErrorConstructor, code: string, message: string): Error & { code: string } {
  return Object.assign(new kind(message), { code });
}

export function invalidArgType(name: string, expected: string, actual: unknown): Error & { code: string } {
  const noun = name.includes('.') ? 'property' : 'argument';
  const message = `The "${name}" ${noun} must be ${expected}. Received ${describe(actual)}`;
  return nodeError(TypeError, 'ERR_INVALID_ARG_TYPE', message);
}

export function invalidArgValue(name: string, value: unknown, reason: string): Error & { code: string } {
  const noun = name.includes('.') ? 'property' : 'argument';
  return nodeError(TypeError, 'ERR_INVALID_ARG_VALUE', `The ${noun} '${name}' ${reason}. Received ${describe(value)}`);
}

export function missingArgs(names: string): Error & { code: string } {
  return nodeError(TypeError, 'ERR_MISSING_ARGS', `The ${names} must be specified`);
}

/** A port as Node takes it: a number or a numeric string. Returns the number; throws ERR_SOCKET_BAD_PORT. */
export function validatePort(port: unknown, name = 'Port', allowZero = true): number {
  const usable = typeof port === 'number' || (typeof port === 'string' && port.trim() !== '');
  const value = usable ? Number(port) : Number.NaN;
  if (value === value >>> 0 && value <= 0xffff && (value !== 0 || allowZero)) return value;
  const range = `${allowZero ? '>=' : '>'} 0 and < 65536`;
  throw nodeError(RangeError, 'ERR_SOCKET_BAD_PORT', `${name} should be ${range}. Received ${describe(port)}.`);
}

export function validateString(value: unknown, name: string): asserts value is string {
  if (typeof value !== 'string') throw invalidArgType(name, 'of type string', value);
}

export function validateNumber(value: unknown, name: string): asserts value is number {
  if (typeof value !== 'number') throw invalidArgType(name, 'of type number', value);
}

export function validateFunction(value: unknown, name: string): void {
  if (typeof value !== 'function') throw invalidArgType(name, 'of type function', value);
}

export function validateBoolean(value: unknown, name: string): asserts value is boolean {
  if (typeof value !== 'boolean') throw invalidArgType(name, 'of type boolean', value);
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object')
    return value.constructor?.name ? `an instance of ${value.constructor.name}` : 'an object';
  return `type ${typeof value} (${typeof value === 'string' ? `'${value.slice(0, 25)}'` : String(value)})`;
}
