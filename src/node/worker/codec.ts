/**
 * What commands and events look like in a ring. Those that come with every burst have a form of their own; of all others the entry
 * says only that the next message of the port beside the ring has its place here, so that there is one order of everything.
 */

import type { IpAddress } from '../../core/base/address.ts';
import type { SocketAddress, SocketCommand, SocketEvent, SocketId } from '../../core/netstack/messages.ts';
import type { ControlCommand, EngineEvent } from '../engine.ts';
import { FIRST_WITH_BYTES, type RingReader, type RingWriter } from './ring.ts';

/** From the embedder to the engine. */
export type Downward =
  | SocketCommand
  | { readonly kind: 'control'; readonly command: ControlCommand }
  /** Asks for `settled`, when everything before is done. */
  | { readonly kind: 'settle'; readonly number: number }
  | { readonly kind: 'shut-down' };

/** From the engine to the embedder. */
export type Upward =
  | SocketEvent
  | { readonly kind: 'tunnel'; readonly event: EngineEvent }
  | { readonly kind: 'settled'; readonly number: number };

const MESSAGE = 1;
const END = 2;
const WRITE_CREDIT = 3;
const READ_CREDIT = 4;
const DATA = FIRST_WITH_BYTES;
const WRITE = FIRST_WITH_BYTES + 1;
const DATAGRAM = FIRST_WITH_BYTES + 2;
const SEND = FIRST_WITH_BYTES + 3;

/** Before the bytes of a datagram: family, one byte unused, port, address. */
const ADDRESS_BYTES = 24;

/** True if `message` is in the ring now, or its entry is, and it is to be posted beside it: then `post` was called. */
export function encode(
  ring: RingWriter,
  message: Upward | Downward,
  post: (message: Upward | Downward) => void,
): boolean {
  switch (message.kind) {
    case 'tcp-data':
      return ring.writeBytes(DATA, message.socket, message.bytes);
    case 'tcp-write':
      return ring.writeBytes(WRITE, message.socket, message.bytes);
    case 'udp-datagram':
      return ring.writeBytes(DATAGRAM, message.socket, withAddress(message.from, message.bytes));
    case 'udp-send':
      return ring.writeBytes(SEND, message.socket, withAddress(message.to, message.bytes));
    case 'tcp-end':
      return ring.write(END, message.socket, 0);
    case 'tcp-write-credit':
      return ring.write(WRITE_CREDIT, message.socket, message.bytes);
    case 'tcp-credit':
      return ring.write(READ_CREDIT, message.socket, message.bytes);
    default:
      if (!ring.write(MESSAGE, 0, 0)) return false;
      post(message);
      return true;
  }
}

/** The entry that `ring` has come to. Bytes of commands are views of the ring, those of events are copies, but of a stream that is lent. */
export function decode(
  ring: RingReader,
  receive: () => unknown,
  isLent: (socket: SocketId) => boolean,
): Upward | Downward {
  const { kind, number: socket, value } = ring;
  switch (kind) {
    case DATA:
      return { kind: 'tcp-data', socket, bytes: isLent(socket) ? ring.view() : ring.copy() };
    case WRITE:
      return { kind: 'tcp-write', socket, bytes: ring.view() };
    case DATAGRAM: {
      const { address, bytes } = splitAddress(ring.copy());
      return { kind: 'udp-datagram', socket, from: address, bytes };
    }
    case SEND: {
      const { address, bytes } = splitAddress(ring.view());
      return { kind: 'udp-send', socket, to: address, bytes };
    }
    case END:
      return { kind: 'tcp-end', socket };
    case WRITE_CREDIT:
      return { kind: 'tcp-write-credit', socket, bytes: value };
    case READ_CREDIT:
      return { kind: 'tcp-credit', socket, bytes: value };
    default:
      return receive() as Upward | Downward;
  }
}

function withAddress({ address, port }: SocketAddress, bytes: Uint8Array): Uint8Array {
  const entry = new Uint8Array(ADDRESS_BYTES + bytes.length);
  entry[0] = address.family;
  entry[2] = port & 0xff;
  entry[3] = port >>> 8;
  entry.set(address.bytes, 4);
  entry.set(bytes, ADDRESS_BYTES);
  return entry;
}

function splitAddress(entry: Uint8Array): { readonly address: SocketAddress; readonly bytes: Uint8Array } {
  const family = entry[0] as IpAddress['family'];
  const port = entry[2]! | (entry[3]! << 8);
  const address = { family, bytes: Uint8Array.from(entry.subarray(4, family === 4 ? 8 : 20)) };
  return { address: { address, port }, bytes: entry.subarray(ADDRESS_BYTES) };
}
