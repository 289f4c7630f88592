/** tcpdump on the client's end of the cable: what left the client, judged by filters after the fact. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lab, until } from './lab.ts';

/** Frames that are not neighbour talk: ARP, NDP, and multicast listener reports, which are ICMPv6 behind a hop-by-hop header (RFC 2710 §3). */
const NOT_NEIGHBOUR_TALK = 'not arp and not icmp6 and not (ip6[6] = 0 and ip6[40] = 58)';

/** A filter for all frames but neighbour talk and those that `allowed` describes. */
export function strangersTo(allowed: string): string {
  return `${NOT_NEIGHBOUR_TALK} and not (${allowed})`;
}

export class Capture {
  readonly #file: string;
  readonly #child: ChildProcess;

  /** Resolves once tcpdump listens. */
  static async start(lab: Lab): Promise<Capture> {
    const file = join(lab.folder, `capture-${performance.now()}.pcap`);
    // 96 bytes of each frame are enough to judge it; immediate mode, or the last second would be lost at the end.
    const options = ['-Z', 'root', '--immediate-mode', '-U', '-n', '-s', '96', '-B', '65536'];
    const child = lab.spawnIn(lab.client, 'tcpdump', [...options, '-i', lab.cable, '-w', file]);
    const said = collect(child);
    await until(() => said().includes('listening on'), 'tcpdump did not start');
    return new Capture(file, child);
  }

  private constructor(file: string, child: ChildProcess) {
    this.#file = file;
    this.#child = child;
  }

  async stop(): Promise<void> {
    await sleep(300);
    const exited = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGINT');
    await exited;
  }

  count(filter: string): number {
    return this.#read(filter).length;
  }

  /** The first five frames, a line each. */
  show(filter: string): string {
    return this.#read(filter).slice(0, 5).join('\n');
  }

  #read(filter: string): string[] {
    const output = execFileSync('tcpdump', ['-Z', 'root', '-nr', this.#file, filter], {
      encoding: 'utf8',
      maxBuffer: 1 << 30,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return output.split('\n').filter(Boolean);
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
