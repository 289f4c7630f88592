/** The arguments of `bind` and `send` in all the forms that node:dgram takes, checked as Node checks them. */

import { invalidArgType, nodeError, validatePort, validateString } from './node-errors.ts';

export type Bytes = Uint8Array | NodeJS.ArrayBufferView | string;
export type SendCallback = (error: Error | null, bytes?: number) => void;

export interface BindOptions {
  readonly port?: number | undefined;
  readonly address?: string | undefined;
  readonly exclusive?: boolean | undefined;
  /** Is reached, and sends, through the port that the provider forwards; `address()` tells the external port. */
  readonly forwarded?: boolean | undefined;
}

export interface SendArguments {
  /** One datagram, whole: lists and slices are resolved. */
  readonly payload: Uint8Array;
  /** Absent on connected sockets. */
  readonly port: number | undefined;
  readonly address: string | undefined;
  readonly callback: SendCallback | undefined;
}

/**
 * `(msg[, offset, length][, port][, address][, callback])`, where `msg` may be a list. Throws ERR_INVALID_ARG_TYPE,
 * ERR_BUFFER_OUT_OF_BOUNDS, ERR_SOCKET_BAD_PORT, or ERR_SOCKET_DGRAM_IS_CONNECTED if a connected socket is given a destination.
 */
export function sendArguments(args: readonly unknown[], connected: boolean): SendArguments {
  let [message, offset, length, port, address, callback] = args;
  if (!connected) {
    if (address || (port && typeof port !== 'function')) message = slice(message, offset, length);
    else [callback, port, address] = [port, offset, length];
  } else {
    if (typeof length === 'number') {
      message = slice(message, offset, length);
      if (typeof port === 'function') [callback, port] = [port, undefined];
    } else callback = offset;
    if (port || address) throw nodeError(Error, 'ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
  }
  const payload = join(message);
  const to = connected ? undefined : validatePort(port, 'Port', false);
  if (typeof address === 'function') [callback, address] = [address, undefined];
  else if (address !== undefined && address !== null) validateString(address, 'address');
  return {
    payload,
    port: to,
    address: (address as string | undefined) || undefined,
    callback: typeof callback === 'function' ? (callback as SendCallback) : undefined,
  };
}

/** `([port][, address][, listener])` or `(options[, listener])`. Throws ERR_SOCKET_BAD_PORT. */
export function bindArguments(args: readonly unknown[]): { port: number; address: string; forwarded: boolean } {
  const [first, second] = args;
  const options: BindOptions = typeof first === 'object' && first !== null ? first : {};
  const port = typeof first === 'object' ? options.port : first;
  const address = typeof first === 'object' && first !== null ? options.address : second;
  return {
    port: port === undefined || port === null || typeof port === 'function' ? 0 : validatePort(port),
    address: typeof address === 'string' ? address : '',
    forwarded: Boolean(options.forwarded),
  };
}

function slice(message: unknown, offset: unknown, length: unknown): Uint8Array {
  const bytes = view(message, 'buffer');
  const [from, size] = [Number(offset) >>> 0, Number(length) >>> 0];
  if (from > bytes.length) throw outOfBounds('offset');
  if (from + size > bytes.length) throw outOfBounds('length');
  return bytes.subarray(from, from + size);
}

function join(message: unknown): Uint8Array {
  if (!Array.isArray(message)) return view(message, 'buffer');
  const parts = message.map((part) => view(part, 'buffer list arguments', message));
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

function view(message: unknown, name: string, shown: unknown = message): Uint8Array {
  if (typeof message === 'string') return Buffer.from(message);
  if (ArrayBuffer.isView(message)) return new Uint8Array(message.buffer, message.byteOffset, message.byteLength);
  throw invalidArgType(name, 'one of type string or an instance of Buffer, TypedArray, or DataView', shown);
}

function outOfBounds(name: string): Error {
  return nodeError(RangeError, 'ERR_BUFFER_OUT_OF_BOUNDS', `"${name}" is outside of buffer bounds`);
}
