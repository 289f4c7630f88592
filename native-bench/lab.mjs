/**
 * Two namespaces and one cable: in one a real wireguard-go with two plain TCP servers behind it, in the other the client under
 * test, one after the other. Everything is taken down again.
 *
 *   client 10.9.0.1   ----cable----  10.9.0.2 server
 *   tunnel 10.66.0.1x                10.66.0.2
 */
import { execFileSync } from 'node:child_process';
import { accessSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { program, start, until } from './processes.mjs';

export const ENDPOINT = '10.9.0.2:51820';
/** Sends without end at this port, reads without end at the next. */
export const SERVER = { host: '10.66.0.2', port: 5201 };
export const MTU = 1420;

const run = (...command) => execFileSync(command[0], command.slice(1), { encoding: 'utf8' }).trim();
const wg = (args, input) => execFileSync('wg', args, { encoding: 'utf8', input }).trim();

/** Why there can be no lab here; `undefined` if there can. */
export function missingForLab() {
  if (process.platform !== 'linux') return 'it needs Linux network namespaces';
  if (process.getuid() !== 0) return 'it needs root';
  const tool = ['wireguard-go', 'wg', 'ip'].find((name) => !onPath(name));
  if (tool) return `there is no ${tool}`;
  try {
    accessSync('/dev/net/tun');
    return undefined;
  } catch {
    return 'there is no /dev/net/tun';
  }
}

export function onPath(name) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, name)));
}

export class Lab {
  #undo = [];

  /** For so many clients. */
  static async open(clients) {
    const lab = new Lab(clients);
    try {
      await lab.#build();
      return lab;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  constructor(clients) {
    const id = (process.pid % 46_656).toString(36);
    this.id = id;
    this.names = { client: `slbc${id}`, server: `slbs${id}` };
    this.folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
    this.#undo.push(() => rmSync(this.folder, { recursive: true, force: true }));
    this.serverKey = wg(['genkey']);
    this.serverPublicKey = wg(['pubkey'], this.serverKey);
    // Each has its own: some implementations' clocks are half a minute ahead, and a server takes no older handshake of a key.
    this.clients = Array.from({ length: clients }, (_, index) => {
      const key = wg(['genkey']);
      return { key, publicKey: wg(['pubkey'], key), address: `10.66.0.${10 + index}` };
    });
    /** A Unix socket that tells how many bytes the server has read. */
    this.counter = join(this.folder, 'counter');
    /** What goes before a command that shall run at the client. */
    this.atClient = ['ip', 'netns', 'exec', this.names.client];
  }

  /** The `.conf` of a client, without lines that wg(8) does not know if `bare`. */
  conf({ key, address }, { bare = false, endpoint = ENDPOINT } = {}) {
    return [
      '[Interface]',
      `PrivateKey = ${key}`,
      ...(bare ? [] : [`Address = ${address}/32`, `MTU = ${MTU}`]),
      '[Peer]',
      `PublicKey = ${this.serverPublicKey}`,
      `AllowedIPs = ${bare ? '10.66.0.0/24' : '0.0.0.0/0'}`,
      `Endpoint = ${endpoint}`,
      '',
    ].join('\n');
  }

  /** A file in the lab's folder. */
  file(name, text) {
    const path = join(this.folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  /** Starts a program of Node in one of the namespaces; resolves when it has printed something. */
  async program(namespace, path, ...args) {
    const running = start(['ip', 'netns', 'exec', namespace, process.execPath, path, ...args]);
    await new Promise((resolve) => running.child.stdout.once('data', resolve));
    return running;
  }

  /** A daemon with a TUN at the client, and the kernel's TCP through it. */
  async tun(command, client, endpoint) {
    const name = `slbk${this.id}`;
    const daemon = await this.#daemon(this.names.client, [...command, name], name);
    try {
      this.#configure(this.names.client, name, this.conf(client, { bare: true, endpoint }), `${client.address}/24`);
      return daemon;
    } catch (error) {
      await daemon.end();
      throw error;
    }
  }

  async close() {
    for (const step of this.#undo.splice(0).reverse()) await step();
  }

  async #build() {
    const { client, server } = this.names;
    for (const name of [client, server]) {
      run('ip', 'netns', 'add', name);
      this.#undo.push(() => run('ip', 'netns', 'del', name));
      run('ip', '-n', name, 'link', 'set', 'lo', 'up');
    }
    run('ip', 'link', 'add', 'slb0', 'netns', client, 'type', 'veth', 'peer', 'name', 'slb0', 'netns', server);
    for (const [name, address] of [
      [client, '10.9.0.1/24'],
      [server, '10.9.0.2/24'],
    ]) {
      run('ip', '-n', name, 'addr', 'add', address, 'dev', 'slb0');
      run('ip', '-n', name, 'link', 'set', 'slb0', 'up');
    }
    const name = `slbw${this.id}`;
    const daemon = await this.#daemon(server, ['wireguard-go', '-f', name], name);
    this.#undo.push(() => daemon.end());
    /** The far end's process. */
    this.serverPid = daemon.child.pid;
    const peers = this.clients.map(
      ({ publicKey, address }) => `[Peer]\nPublicKey = ${publicKey}\nAllowedIPs = ${address}/32\n`,
    );
    const listenPort = ENDPOINT.split(':')[1];
    const conf = `[Interface]\nPrivateKey = ${this.serverKey}\nListenPort = ${listenPort}\n${peers.join('')}`;
    this.#configure(server, name, conf, `${SERVER.host}/24`);
    // What Linux remembers of a destination is from the run before.
    for (const each of [client, server])
      run('ip', 'netns', 'exec', each, 'sysctl', '-qw', 'net.ipv4.tcp_no_metrics_save=1');
    const { host, port } = SERVER;
    const source = await this.program(server, program('source.mjs'), host, `${port}`, this.counter);
    this.#undo.push(() => source.end());
  }

  async #daemon(namespace, command, name) {
    const daemon = start(['ip', 'netns', 'exec', namespace, ...command], {
      env: { ...process.env, LOG_LEVEL: 'error' },
      // wireguard-go advises against itself on every start.
      stdio: 'ignore',
    });
    try {
      const socket = `/var/run/wireguard/${name}.sock`;
      await until(() => existsSync(socket), `${command[0]} did not start`);
      return daemon;
    } catch (error) {
      await daemon.end();
      throw error;
    }
  }

  #configure(namespace, name, conf, address) {
    wg(['setconf', name, this.file(`${name}.conf`, conf)]);
    run('ip', '-n', namespace, 'addr', 'add', address, 'dev', name);
    run('ip', '-n', namespace, 'link', 'set', name, 'mtu', `${MTU}`, 'up');
    // The host's default may be another; most senders of the internet use this one.
    run('ip', '-n', namespace, 'route', 'replace', '10.66.0.0/24', 'dev', name, 'congctl', 'cubic');
  }
}
