/**
 * The settings of `dgram.Socket` that mean nothing inside a tunnel: broadcast, TTL and buffer sizes are checked, accepted and
 * without effect; multicast is refused with ENOSYS; `ref` and `unref` do nothing.
 */

import { EventEmitter } from 'node:events';
import { nodeError, systemError, validateNumber, validateString } from './node-errors.ts';

export class DgramSettings extends EventEmitter {
  readonly #bufferSizes = { recv: 212_992, send: 212_992 };

  setBroadcast(_flag: boolean): void {}

  setTTL(ttl: number): number {
    return validTtl(ttl, 'ttl', 'setTTL', 1);
  }

  setMulticastTTL(ttl: number): number {
    return validTtl(ttl, 'ttl', 'setMulticastTTL', 0);
  }

  setMulticastLoopback(flag: boolean): boolean {
    return flag;
  }

  setMulticastInterface(interfaceAddress: string): void {
    validateString(interfaceAddress, 'interfaceAddress');
  }

  addMembership(_multicastAddress: string, _multicastInterface?: string): void {
    throw noMulticast('addMembership');
  }

  dropMembership(_multicastAddress: string, _multicastInterface?: string): void {
    throw noMulticast('dropMembership');
  }

  addSourceSpecificMembership(_source: string, _group: string, _multicastInterface?: string): void {
    throw noMulticast('addSourceSpecificMembership');
  }

  dropSourceSpecificMembership(_source: string, _group: string, _multicastInterface?: string): void {
    throw noMulticast('dropSourceSpecificMembership');
  }

  setRecvBufferSize(size: number): void {
    this.#bufferSizes.recv = validSize(size);
  }

  setSendBufferSize(size: number): void {
    this.#bufferSizes.send = validSize(size);
  }

  getRecvBufferSize(): number {
    return this.#bufferSizes.recv;
  }

  getSendBufferSize(): number {
    return this.#bufferSizes.send;
  }

  /** Does nothing. */
  ref(): this {
    return this;
  }

  /** Does nothing. */
  unref(): this {
    return this;
  }
}

function noMulticast(syscall: string): Error {
  const error = systemError('ENOSYS', syscall);
  error.message += ': there is no multicast inside a tunnel';
  return error;
}

function validTtl(ttl: number, name: string, syscall: string, least: number): number {
  validateNumber(ttl, name);
  if (!(ttl >= least && ttl <= 255)) throw systemError('EINVAL', syscall);
  return ttl;
}

function validSize(size: number): number {
  if (size >>> 0 === size) return size;
  throw nodeError(TypeError, 'ERR_SOCKET_BAD_BUFFER_SIZE', 'Buffer size must be a positive integer');
}
