/**
 * What a `net.Socket` tells about itself: flags, counters, addresses. The base of `TunnelSocket`, which knows the connection; here
 * only its public face, in node:net's words.
 */

import { Duplex } from 'node:stream';
import type { Connection } from './net-connection.ts';
import { type AddressInfo, info } from './net-socket-options.ts';

export abstract class SocketState extends Duplex {
  connecting = false;

  /** @internal The last connection, also after its end. */
  protected abstract readonly connection: Connection | undefined;

  get pending(): boolean {
    return !this.connection || this.connecting || this.destroyed;
  }

  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.connecting) return 'opening';
    if (this.readable) return this.writable ? 'open' : 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  get bytesRead(): number {
    return this.connection?.bytesRead ?? 0;
  }

  /** Counts what was accepted by `write`, also while it waits. */
  get bytesWritten(): number {
    return (this.connection?.bytesWritten ?? 0) + this.writableLength - (this.connection?.postedOfWrite ?? 0);
  }

  get bufferSize(): number | undefined {
    return this.connection && !this.destroyed ? this.writableLength : undefined;
  }

  get remoteAddress(): string | undefined {
    return info(this.connection?.remote).address;
  }

  get remotePort(): number | undefined {
    return info(this.connection?.remote).port;
  }

  get remoteFamily(): string | undefined {
    return info(this.connection?.remote).family;
  }

  get localAddress(): string | undefined {
    return this.address().address;
  }

  get localPort(): number | undefined {
    return this.address().port;
  }

  get localFamily(): string | undefined {
    return this.address().family;
  }

  /** `{}` unless connected. */
  address(): Partial<AddressInfo> {
    return this.destroyed ? {} : info(this.connection?.local);
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
