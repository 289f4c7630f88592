/**
 * The oracles over one stretch of a rig's life. Each watch begins with its positive control: a direct dial over TCP and UDP, IPv4 and
 * IPv6, and a look-up by the host's resolver, which must succeed and be seen by the very captures and filters that judge what follows.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { Capture, strangersTo } from './capture.ts';
import { CLIENT, INTERNET, ISP, type LeakRig, SERVER } from './leak-rig.ts';
import type { Frame } from './pcap.ts';
import { TRACKER_PORT } from './swarm.ts';

const FROM_CLIENT = 'src net 192.0.2.0/24 or src net 2001:db8:c::/64';
/** Multicast that a torrent client might use on a LAN: local discovery (BEP 14), SSDP, mDNS, LLMNR, and joining any such group. */
export const LOCAL_DISCOVERY =
  'igmp or dst net 224.0.0.0/4 or dst host 255.255.255.255 or (ip6 and dst net ff00::/8 and udp) or port 1900 or port 5351 or port 6771';

export interface WatchOptions {
  /** WireGuard's endpoints; by default the one of the rig's `.conf`. */
  readonly endpoints?: readonly string[];
  /** More that is allowed on the cable, as a filter. */
  readonly allowed?: string;
  /** Searches what is in the tunnel for the client's own address, too. */
  readonly payloads?: boolean;
}

export interface Announce {
  readonly atMs: number;
  readonly query: string;
  readonly port: number;
  readonly event: string | undefined;
}

export class LeakWatch {
  readonly #rig: LeakRig;
  readonly #cable: Capture;
  readonly #internet: Capture;
  readonly #tunnel: Capture | undefined;
  readonly #strangers: string;
  #before = { strangers: 0, exposed: 0 };

  static async begin(rig: LeakRig, options: WatchOptions = {}): Promise<LeakWatch> {
    const [cable, internet, tunnel] = await Promise.all([
      Capture.start(rig, { ...rig.atIsp, snapBytes: 160 }),
      Capture.start(rig, { ...rig.atInternet, snapBytes: 700 }),
      options.payloads ? Capture.start(rig, { ...rig.inTunnel, snapBytes: 0 }) : undefined,
    ]);
    const watch = new LeakWatch(rig, { cable, internet, tunnel }, options);
    await watch.#control();
    return watch;
  }

  private constructor(
    rig: LeakRig,
    captures: { readonly cable: Capture; readonly internet: Capture; readonly tunnel: Capture | undefined },
    { endpoints = [SERVER[4]], allowed }: WatchOptions,
  ) {
    this.#rig = rig;
    this.#cable = captures.cable;
    this.#internet = captures.internet;
    this.#tunnel = captures.tunnel;
    const servers = endpoints.map((address) => `host ${address}`).join(' or ');
    const port = rig.wireguard.port;
    this.#strangers = strangersTo(
      [
        `udp and (${servers}) and port ${port}`,
        // A kernel's word to the other that a tunnel which ended, or moved, has no port any more; from whatever address it has then.
        `icmp[icmptype] = icmp-unreach and icmp[icmpcode] = 3 and (${servers})`,
        ...(allowed === undefined ? [] : [allowed]),
      ].join(') and not ('),
    );
  }

  get cable(): Capture {
    return this.#cable;
  }

  get internet(): Capture {
    return this.#internet;
  }

  /** Oracles 1 and 2 since the control, as tcpdump tells the frames. */
  leaks(): { readonly outside: readonly string[]; readonly exposed: readonly string[] } {
    return {
      outside: this.#cable.lines(this.#strangers).slice(this.#before.strangers),
      exposed: this.#internet.lines(FROM_CLIENT).slice(this.#before.exposed),
    };
  }

  /** Fails with the first frames that got out. */
  expectSilence(): void {
    const { outside, exposed } = this.leaks();
    expect(outside.slice(0, 5), 'frames outside the tunnel').toEqual([]);
    expect(exposed.slice(0, 5), 'packets from the client’s own address').toEqual([]);
  }

  /** Ends the captures; nothing may have got out. */
  async end(): Promise<void> {
    await this.stop();
    this.expectSilence();
  }

  /** Ends the captures. */
  async stop(): Promise<void> {
    await Promise.all([this.#cable, this.#internet, this.#tunnel].map((capture) => capture?.stop()));
  }

  /** Oracle 3: packets in the tunnel that name the client's own address, in binary or as text. */
  selfDisclosures(): string[] {
    const needles = [
      ...Object.values(CLIENT).map(binaryAddress),
      ...Object.values(CLIENT).map((text) => Buffer.from(text)),
    ];
    return (this.#tunnel?.frames('ip or ip6') ?? [])
      .filter(({ bytes }) => needles.some((needle) => bytes.includes(needle)))
      .map(({ bytes }) => bytes.toString('latin1').replace(/[^ -~]/g, '.'));
  }

  /** How many packets oracle 3 looks at. */
  tunnelPackets(filter = 'ip or ip6'): readonly Frame[] {
    return this.#tunnel?.frames(filter) ?? [];
  }

  /** When the first frame of a filter passed at the internet after `atMs`. */
  firstAtInternet(filter: string, atMs: number): number | undefined {
    return this.#internet.frames(filter).find((frame) => frame.atMs >= atMs)?.atMs;
  }

  /** What trackers heard over HTTP, in order. */
  announces(): Announce[] {
    const requests = this.#internet.frames(`tcp dst port ${TRACKER_PORT}`);
    return requests.flatMap(({ atMs, bytes }) => {
      const query = /GET (\/announce\?\S*)/.exec(bytes.toString('latin1'))?.[1];
      if (query === undefined) return [];
      const value = (name: string): string | undefined => new RegExp(`[?&]${name}=([^&]*)`).exec(query)?.[1];
      return [{ atMs, query, port: Number(value('port')), event: value('event') }];
    });
  }

  async #control(): Promise<void> {
    const script = new URL('agents/direct.mjs', import.meta.url).pathname;
    const args = [script, INTERNET[4], INTERNET[6], 'web.test'];
    const told = JSON.parse(this.#rig.run(this.#rig.client, process.execPath, ...args));
    expect(told).toEqual({ tcp4: true, tcp6: true, udp4: true, udp6: true, lookup: INTERNET[4] });
    await sleep(300);
    const { outside, exposed } = this.leaks();
    for (const host of [INTERNET[4], INTERNET[6]]) {
      for (const port of [80, 6881]) {
        expect(outside.join('\n'), 'the control on the cable').toContain(`> ${host}.${port}:`);
        expect(exposed.join('\n'), 'the control at the internet').toContain(`> ${host}.${port}:`);
      }
    }
    const lookUps = this.#cable.lines('port 53').join('\n');
    expect(lookUps, 'the control’s look-up').toContain(`> ${ISP[4]}.53:`);
    this.#before = { strangers: outside.length, exposed: exposed.length };
  }
}

function binaryAddress(text: string): Buffer {
  if (!text.includes(':')) return Buffer.from(text.split('.').map(Number));
  const [head = [], tail = []] = text
    .split('::')
    .map((part) => part.split(':').map((group) => Number.parseInt(group, 16)));
  const groups = [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  return Buffer.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}
