/**
 * Network namespaces, the cables between them and the processes in them, made by one test and gone after it. Nothing leaves the
 * machine; every process is started here and ended here, by its id.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent } from './agent.ts';

/** One end of a cable. */
export interface CableEnd {
  readonly namespace: string;
  readonly interface: string;
  /** With their prefix lengths. */
  readonly addresses: readonly string[];
}

/** In the words of nftables. */
export interface Filter {
  /** With its family, such as `inet nat`. */
  readonly table: string;
  /** Type, hook and priority. */
  readonly hook: string;
  readonly rules: readonly string[];
}

let serial = 0;

export class Namespaces {
  /** Part of every name made here: unique on this host, and short, since an interface's name has 15 characters at most. */
  readonly id: string = `${(process.pid % 100_000).toString(36)}${(serial++).toString(36)}`;
  readonly folder: string = mkdtempSync(join(tmpdir(), 'sluice-lab-'));
  readonly #names: string[] = [];
  readonly #resolvers: string[] = [];
  readonly #processes = new Set<ChildProcess>();
  readonly #atExit = (): void => this.#remove();

  constructor() {
    // A hook that timed out has nobody who calls `destroy`.
    process.once('exit', this.#atExit);
  }

  /** Makes a namespace. With `resolver`, what runs in it asks that address for names. */
  namespace(name: string, options: { readonly resolver?: string } = {}): void {
    if (options.resolver !== undefined) {
      this.#resolvers.push(name);
      mkdirSync(`/etc/netns/${name}`, { recursive: true });
      writeFileSync(`/etc/netns/${name}/resolv.conf`, `nameserver ${options.resolver}\noptions timeout:1 attempts:1\n`);
    }
    this.ip('netns', 'add', name);
    this.#names.push(name);
    this.ip('-n', name, 'link', 'set', 'lo', 'up');
    this.run(name, 'sysctl', '-qw', 'net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0');
  }

  connect(a: CableEnd, b: CableEnd): void {
    const far = ['peer', 'name', b.interface, 'netns', b.namespace];
    this.ip('link', 'add', a.interface, 'netns', a.namespace, 'type', 'veth', ...far);
    for (const { namespace, interface: name, addresses } of [a, b]) {
      for (const address of addresses) this.address(namespace, name, address);
      this.ip('-n', namespace, 'link', 'set', name, 'up');
    }
  }

  address(namespace: string, interfaceName: string, address: string): void {
    const nodad = address.includes(':') ? ['nodad'] : [];
    this.ip('-n', namespace, 'addr', 'add', address, 'dev', interfaceName, ...nodad);
  }

  /** Starts one of `agents/` under Node in a namespace. `flags` are Node's own. */
  agent(namespace: string, script: string, args: readonly string[] = [], flags: readonly string[] = []): Agent {
    return new Agent(this.spawnIn(namespace, process.execPath, [...flags, agentFile(script), ...args], {}, 'pipe'));
  }

  /** Starts a script of `agents/` that says "ready"; `end` stops it. */
  async process(namespace: string, script: string, args: readonly string[]): Promise<{ end(): Promise<void> }> {
    const child = this.spawnIn(namespace, process.execPath, [agentFile(script), ...args]);
    let output = '';
    child.stdout!.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    await until(() => output.includes('ready'), `${script} did not start`);
    return { end: () => end(child, 'SIGTERM') };
  }

  spawnIn(
    namespace: string,
    command: string,
    args: readonly string[],
    env: Record<string, string> = {},
    stdin: 'ignore' | 'pipe' = 'ignore',
  ): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', namespace, command, ...args], {
      stdio: [stdin, 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#processes.add(child);
    child.once('exit', () => this.#processes.delete(child));
    return child;
  }

  /** Runs a command in a namespace to its end; its output. Throws if it fails. */
  run(namespace: string, command: string, ...args: readonly string[]): string {
    return execFileSync('ip', ['netns', 'exec', namespace, command, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  wg(...args: readonly string[]): string {
    return wg(args);
  }

  ip(...args: readonly string[]): void {
    execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  }

  /** A table of nftables with one chain, in place of the table of that name before it. */
  filter(namespace: string, { table, hook, rules }: Filter): void {
    const chain = `table ${table} {\n chain rules {\n  type ${hook};\n  ${rules.join('\n  ')}\n }\n}\n`;
    this.#nft(namespace, `${removal(table)}${chain}`);
  }

  /** Also where there is none of that name. */
  removeFilter(namespace: string, table: string): void {
    this.#nft(namespace, removal(table));
  }

  async destroy(): Promise<void> {
    await Promise.all([...this.#processes].map((child) => end(child, 'SIGTERM')));
    process.off('exit', this.#atExit);
    this.#remove();
  }

  #nft(namespace: string, commands: string): void {
    const args = ['netns', 'exec', namespace, 'nft', '-f', '-'];
    execFileSync('ip', args, { input: commands, stdio: ['pipe', 'ignore', 'pipe'] });
  }

  #remove(): void {
    for (const child of this.#processes) child.kill('SIGKILL');
    // One that is gone already must not keep the others.
    for (const name of this.#names) spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
    for (const name of this.#resolvers) rmSync(`/etc/netns/${name}`, { recursive: true, force: true });
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The first line makes sure that there is one to delete; nftables does all of it in one step. */
function removal(table: string): string {
  return `table ${table}\ndelete table ${table}\n`;
}

function agentFile(script: string): string {
  return join(import.meta.dirname, 'agents', script);
}

export async function until(condition: () => boolean, complaint: string, limitMs: number = 10_000): Promise<void> {
  for (const deadline = Date.now() + limitMs; !condition(); await sleep(50)) {
    if (Date.now() > deadline) throw new Error(complaint);
  }
}

export function wg(args: readonly string[], input?: string): string {
  return execFileSync('wg', args, { encoding: 'utf8', ...(input === undefined ? {} : { input }) }).trim();
}

/** Ends a process that was started here; one that does not obey is killed. */
export async function end(child: ChildProcess | undefined, signal: NodeJS.Signals, limitMs = 3_000): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  const hurry = setTimeout(() => child.kill('SIGKILL'), limitMs);
  await exited;
  clearTimeout(hurry);
}
