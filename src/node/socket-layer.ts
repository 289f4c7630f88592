/** Everything an embedder opens sockets with, over one engine: net, dgram, dns and agents. With fetch it is a `WebLayer`. */

import type http from 'node:http';
import type https from 'node:https';
import { SluiceError } from '../core/base/errors.ts';
import type { SocketErrorCode } from '../core/netstack/messages.ts';
import { createDgram, type TunnelDgram } from './dgram.ts';
import { createDns, type TunnelDns } from './dns.ts';
import type { EnginePort } from './engine.ts';
import type { ForwardedProtocol, ForwardedSocket } from './forwarded.ts';
import { TunnelHttpAgent, TunnelHttpsAgent } from './http.ts';
import { createNet, type TunnelNet } from './net.ts';
import { TunnelServer } from './net-server.ts';
import { systemError } from './node-errors.ts';
import { SocketTable } from './socket-table.ts';

export class SocketLayer {
  readonly net: TunnelNet;
  readonly dgram: TunnelDgram;
  readonly dns: TunnelDns;
  readonly httpAgent: http.Agent;
  readonly httpsAgent: https.Agent;
  readonly #table: SocketTable;

  /** Becomes the only subscriber of `engine`. */
  constructor(engine: EnginePort) {
    this.#table = new SocketTable(engine);
    this.net = createNet(this.#table);
    this.dgram = createDgram(this.#table);
    this.dns = createDns(this.#table);
    this.httpAgent = new TunnelHttpAgent(this.net);
    this.httpsAgent = new TunnelHttpsAgent(this.net);
  }

  /** Servers that listen for what the provider forwards; the port-forward lease maps their `internalPort`. */
  get forwardedServers(): TunnelServer[] {
    const owners = [...this.#table.members].map(({ owner }) => owner);
    return owners.filter(
      (owner) => owner instanceof TunnelServer && owner.forwarded && owner.listening,
    ) as TunnelServer[];
  }

  /** Bound servers or UDP sockets that were opened with `forwarded: true`, the oldest first. */
  forwardedSockets(protocol: ForwardedProtocol): readonly ForwardedSocket[] {
    const owners = [...this.#table.members].map(({ owner }) => owner as Partial<ForwardedSocket>);
    return owners.filter(
      (owner) => owner.forwardedProtocol === protocol && owner.internalPort !== undefined,
    ) as ForwardedSocket[];
  }

  /** Forwarded sockets are bound where `portFor` says; `onChange` is called when one was bound or closed. */
  setForwarding(portFor: (protocol: ForwardedProtocol) => number, onChange: () => void): void {
    this.#table.forwardedPort = portFor;
    this.#table.onForwardedChange = onChange;
  }

  /** Called when `forwardedServers` changes. */
  set onForwardedChange(listener: () => void) {
    this.#table.onForwardedChange = listener;
  }

  /** Ends every connection at once with `code` (the exit identity has changed); servers and UDP sockets stay. */
  destroyAll(code: SocketErrorCode): void {
    this.#table.cut(systemError(code, 'read'), true);
  }

  /**
   * Ends everything: connections with ERR_CLOSED (silently those that nobody listens to for errors), servers and UDP sockets with
   * `close`, lookups with ERR_CLOSED. Nothing can be opened after. Resolves when the engine has been told.
   */
  async close(): Promise<void> {
    this.#table.close(new SluiceError('ERR_CLOSED', 'The tunnel is closed.'));
    this.httpAgent.destroy();
    this.httpsAgent.destroy();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
