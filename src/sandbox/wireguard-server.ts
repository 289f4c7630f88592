/** The WireGuard side of the provider: one device that answers, and the clients it knows. They outlive the device (`restart`). */

import { type Endpoint, type IpAddress, prefix } from '../core/base/address.ts';
import type { Crypto, Random } from '../core/base/crypto.ts';
import type { Instant } from '../core/base/instant.ts';
import { Device, type Peer } from '../core/wireguard/device.ts';
import type { ClientNode } from './nodes.ts';

export interface WireGuardServerOptions {
  readonly crypto: Crypto;
  readonly random: Random;
  /** See `DeviceOptions.timestamp`. */
  readonly timestamp: () => Uint8Array | undefined;
  /** 32 bytes, copied. */
  readonly privateKey: Uint8Array;
  /** Of the tunnel, in bytes. */
  readonly mtu: number;
}

export interface MachineClientOptions {
  readonly publicKey: Uint8Array;
  readonly presharedKey?: Uint8Array;
  /** Inside the tunnel; from `clientAddresses`. */
  readonly addresses: readonly IpAddress[];
}

/** A datagram that the device sends of itself: a handshake, a keepalive, or a packet that had waited for a session. */
export interface ServerDatagram {
  readonly bytes: Uint8Array;
  readonly to: Endpoint;
}

export class WireGuardServer {
  readonly mtu: number;
  readonly #options: WireGuardServerOptions;
  readonly #clients: Map<Peer, ClientNode> = new Map();
  #device: Device;

  constructor(options: WireGuardServerOptions, now: Instant) {
    this.#options = { ...options, privateKey: Uint8Array.from(options.privateKey) };
    this.mtu = options.mtu;
    this.#device = new Device(this.#options, now);
  }

  /** Another one after each `restart`. */
  get device(): Device {
    return this.#device;
  }

  get clients(): Iterable<ClientNode> {
    return this.#clients.values();
  }

  clientOf(peer: Peer): ClientNode | undefined {
    return this.#clients.get(peer);
  }

  /** Throws RangeError if the key is somebody's already. */
  add({ publicKey, presharedKey, addresses }: MachineClientOptions, now: Instant): ClientNode {
    const identity = { publicKey, presharedKey, addresses };
    const client: ClientNode = {
      kind: 'client',
      mtu: this.mtu,
      ...identity,
      peer: this.#addPeer(identity, now),
      handshakes: 0,
      rxBytesBefore: 0,
      txBytesBefore: 0,
    };
    this.#clients.set(client.peer, client);
    return client;
  }

  /** False if it was removed before. */
  remove(client: ClientNode, now: Instant): boolean {
    if (!this.#clients.delete(client.peer)) return false;
    this.#device.removePeer(client.peer, now);
    return true;
  }

  /** The server process is replaced by a new one: sessions and endpoints are lost, keys and clients stay. */
  restart(now: Instant): void {
    this.#device.close();
    this.#device = new Device(this.#options, now);
    const clients = [...this.#clients.values()];
    this.#clients.clear();
    for (const client of clients) {
      client.rxBytesBefore += client.peer.rxBytes;
      client.txBytesBefore += client.peer.txBytes;
      client.peer = this.#addPeer(client, now);
      this.#clients.set(client.peer, client);
    }
  }

  /** The next datagram that the device sends of itself; call until undefined. */
  nextDatagram(): ServerDatagram | undefined {
    for (let output = this.#device.nextOutput(); output; output = this.#device.nextOutput()) {
      if (output.kind === 'datagram') return output;
      const client = output.kind === 'handshake' ? this.#clients.get(output.peer) : undefined;
      if (client) client.handshakes++;
    }
    return undefined;
  }

  /** Wipes all keys. Nothing may be called after. */
  close(): void {
    this.#device.close();
    this.#options.privateKey.fill(0);
  }

  #addPeer(
    { publicKey, presharedKey, addresses }: Pick<ClientNode, 'publicKey' | 'presharedKey' | 'addresses'>,
    now: Instant,
  ): Peer {
    const allowedIps = addresses.map((address) => prefix(address, address.bytes.length * 8));
    return this.#device.addPeer({ publicKey, allowedIps, ...(presharedKey ? { presharedKey } : {}) }, now);
  }
}
