/** A host of the virtual internet: the same sockets as a tunnel has, over a TCP/IP stack whose addresses exist only in the sandbox. */

import { formatIp } from '../core/base/address.ts';
import type { SocketCommand, SocketEvent } from '../core/netstack/messages.ts';
import type { Driver } from '../node/driver.ts';
import type { EnginePort } from '../node/engine.ts';
import { WebLayer } from '../node/web-layer.ts';
import type { HostNode } from './nodes.ts';
import type { SandboxMachine } from './sandbox-machine.ts';

export class SandboxHost {
  /** The name it was added with, which the sandbox's DNS resolves to it. */
  readonly name: string | undefined;
  readonly addresses: readonly string[];
  readonly #sockets: WebLayer;
  readonly #engine: HostEngine;
  readonly #onClose: (host: SandboxHost) => void;
  #closing: Promise<void> | undefined;

  /** @internal Hosts are made by `Sandbox.addHost`. */
  constructor(engine: HostEngine, name: string | undefined, onClose: (host: SandboxHost) => void) {
    this.name = name;
    this.addresses = engine.node.addresses.map(formatIp);
    this.#engine = engine;
    this.#sockets = new WebLayer(engine);
    this.#onClose = onClose;
  }

  /** The first of its addresses: IPv4, if it has one. */
  get address(): string {
    return this.addresses.find((address) => !address.includes(':')) ?? this.addresses[0]!;
  }

  get net(): WebLayer['net'] {
    return this.#sockets.net;
  }

  get dgram(): WebLayer['dgram'] {
    return this.#sockets.dgram;
  }

  /** Resolves the names of the sandbox, and no others. */
  get dns(): WebLayer['dns'] {
    return this.#sockets.dns;
  }

  get httpAgent(): WebLayer['httpAgent'] {
    return this.#sockets.httpAgent;
  }

  get httpsAgent(): WebLayer['httpsAgent'] {
    return this.#sockets.httpsAgent;
  }

  get dispatcher(): WebLayer['dispatcher'] {
    return this.#sockets.dispatcher;
  }

  get fetch(): WebLayer['fetch'] {
    return this.#sockets.fetch;
  }

  /** Closes its sockets, and takes the host and its name off the virtual internet. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** @internal Hands waiting events to the sockets. */
  deliver(): void {
    this.#engine.deliver();
  }

  async #close(): Promise<void> {
    await this.#sockets.close();
    this.#onClose(this);
  }
}

/** @internal The engine of one host's sockets: its part of the sandbox's machine. */
export class HostEngine implements EnginePort {
  onEvent: (event: SocketEvent) => void = () => {};
  readonly node: HostNode;
  readonly #machine: SandboxMachine;
  readonly #driver: Driver;

  constructor(node: HostNode, machine: SandboxMachine, driver: Driver) {
    this.node = node;
    this.#machine = machine;
    this.#driver = driver;
  }

  post(command: SocketCommand): void {
    this.#driver.mutate((now) => this.#machine.handleCommand(this.node, command, now));
  }

  deliver(): void {
    for (let event = this.#machine.nextEvent(this.node); event; event = this.#machine.nextEvent(this.node))
      this.onEvent(event);
  }
}
