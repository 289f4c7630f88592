/**
 * Several connected UDP ports behind the face of one, for a configuration whose peers have different servers. Each datagram goes
 * to the port of its endpoint; one for an endpoint without a port is dropped and counted, since no other socket may carry it.
 */

import { type Endpoint, sameEndpoint } from '../core/base/address.ts';
import { Burst } from '../core/base/burst.ts';
import { DropCounter } from '../core/base/drops.ts';
import type { OpenUdpPort, UdpPort, UdpPortHandlers, UdpPortOptions } from './udp-port.ts';

/** One port connected to each remote; a single remote gets its port as it is. Closes what it opened if one of them fails. */
export async function openPorts(
  open: OpenUdpPort,
  remotes: readonly Endpoint[],
  options: Omit<UdpPortOptions, 'remote'>,
  handlers: UdpPortHandlers,
): Promise<UdpPort> {
  if (remotes.length === 1) return open({ ...options, remote: remotes[0]! }, handlers);
  const { bind: _, ...unbound } = options;
  const results = await Promise.allSettled(
    remotes.map(async (remote) => ({ remote, port: await open({ ...unbound, remote }, handlers) })),
  );
  const opened = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failure = results.find((result) => result.status === 'rejected');
  if (!failure) return new PortSet(opened, options);
  await Promise.all(opened.map(({ port }) => port.close()));
  throw failure.reason;
}

class PortSet implements UdpPort {
  readonly transmit: Burst;
  readonly drops: DropCounter<'no-port-for-endpoint' | 'port-congested'> = new DropCounter();
  readonly #ports: readonly { readonly remote: Endpoint; readonly port: UdpPort }[];
  readonly #release: UdpPortOptions['release'];

  constructor(
    ports: readonly { readonly remote: Endpoint; readonly port: UdpPort }[],
    { allocate, release }: Pick<UdpPortOptions, 'allocate' | 'release'>,
  ) {
    this.#ports = ports;
    this.#release = release;
    const { capacity, slotSize } = ports[0]!.port.transmit;
    this.transmit = new Burst(capacity, slotSize, allocate?.(capacity * slotSize));
  }

  get congested(): boolean {
    return this.#ports.every(({ port }) => port.congested);
  }

  get local(): Endpoint {
    return this.#ports[0]!.port.local;
  }

  flush(): void {
    for (let i = 0; i < this.transmit.count; i++) this.#dispatch(this.transmit.datagram(i), this.transmit.endpoints[i]);
    this.transmit.clear();
    for (const { port } of this.#ports) port.flush();
  }

  async close(): Promise<void> {
    await Promise.all(this.#ports.map(({ port }) => port.close()));
    this.#release?.(this.transmit.slab);
  }

  #dispatch(datagram: Uint8Array, to: Endpoint | undefined): void {
    const port = to && this.#ports.find(({ remote }) => sameEndpoint(remote, to))?.port;
    if (!port) this.drops.count('no-port-for-endpoint');
    else if (port.congested) this.drops.count('port-congested');
    else {
      if (port.transmit.full) port.flush();
      port.transmit.append(datagram, to);
    }
  }
}
