/** tcpdump on one interface: what passed there, judged by filters after the fact, also while it still runs. */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Namespaces, until } from './namespaces.ts';
import { type Frame, readFrames } from './pcap.ts';

/**
 * Frames that are not neighbour talk: ARP, neighbour discovery (RFC 4861: types 133 to 137), and multicast listener reports (RFC 2710,
 * RFC 3810), which are ICMPv6 behind a hop-by-hop header. Other ICMPv6 is a stranger.
 */
const NOT_NEIGHBOUR_TALK =
  'not arp and not (icmp6 and ip6[40] >= 133 and ip6[40] <= 137) and not (ip6[6] = 0 and ip6[40] = 58)';

/** A filter for all frames but neighbour talk and those that `allowed` describes. */
export function strangersTo(allowed: string): string {
  return `${NOT_NEIGHBOUR_TALK} and not (${allowed})`;
}

export interface CaptureOptions {
  readonly namespace: string;
  readonly interface: string;
  /** Of each frame; by default enough to judge it by its headers. */
  readonly snapBytes?: number;
  /** What is captured at all; by default everything. */
  readonly filter?: string;
}

export class Capture {
  readonly file: string;
  readonly #child: ChildProcess;

  /** Resolves once tcpdump listens. */
  static async start(host: Namespaces, options: CaptureOptions): Promise<Capture> {
    const file = join(host.folder, `capture-${performance.now()}.pcap`);
    // Immediate mode, or the last second would be lost at the end.
    const mode = ['-Z', 'root', '--immediate-mode', '-U', '-n', '-s', String(options.snapBytes ?? 96), '-B', '65536'];
    const child = host.spawnIn(options.namespace, 'tcpdump', [
      ...mode,
      ...['-i', options.interface, '-w', file],
      options.filter ?? '',
    ]);
    const said = collect(child);
    await until(() => said().includes('listening on'), 'tcpdump did not start');
    return new Capture(file, child);
  }

  private constructor(file: string, child: ChildProcess) {
    this.file = file;
    this.#child = child;
  }

  async stop(): Promise<void> {
    await sleep(300);
    const exited = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGINT');
    await exited;
  }

  count(filter: string): number {
    return this.frames(filter).length;
  }

  /** The first five frames, a line each. */
  show(filter: string): string {
    return this.lines(filter).slice(0, 5).join('\n');
  }

  /** The frames as tcpdump tells them, a line each. */
  lines(filter: string): string[] {
    return this.#read(['-n', filter]).toString('utf8').split('\n').filter(Boolean);
  }

  frames(filter: string): Frame[] {
    return readFrames(this.#read(['-w', '-', filter]));
  }

  #read(args: readonly string[]): Buffer {
    const { status, stdout, stderr } = spawnSync('tcpdump', ['-Z', 'root', '-r', this.file, ...args], {
      maxBuffer: 1 << 30,
    });
    // The last frame of a capture that still runs may be half written.
    if (status !== 0 && !String(stderr).includes('truncated')) throw new Error(`tcpdump: ${stderr}`);
    return stdout;
  }
}

/** The last 20,000 characters of what a process says. */
export function collect(child: ChildProcess): () => string {
  let text = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (chunk: Buffer) => {
      text = (text + chunk.toString()).slice(-20_000);
    });
  }
  return () => text;
}
