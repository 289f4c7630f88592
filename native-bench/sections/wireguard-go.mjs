/**
 * Downloads from behind a real wireguard-go in a network namespace of its own: through our tunnel, and as the native comparison
 * through another wireguard-go with a TUN and the kernel's TCP. Needs root, /dev/net/tun and the Debian packages wireguard-go,
 * wireguard-tools and iproute2. Everything is taken down again.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { backends } from '../backends.mjs';
import { cpuSecondsOf, download, figures, program, start, until } from '../processes.mjs';

const PORT = 5201;
const run = (...command) => execFileSync(command[0], command.slice(1), { encoding: 'utf8' }).trim();
const wg = (args, input) => execFileSync('wg', args, { encoding: 'utf8', input }).trim();

export const wireguardGo = {
  name: 'wireguard-go',
  title: 'From behind a real wireguard-go',
  note:
    'Two namespaces and one cable. "kernel TCP" is wireguard-go at both ends; its client CPU time is that of the near wireguard-go and of the reader. ' +
    'All processes share the machine, so with few cores the far end may be what limits.',

  missing() {
    if (process.getuid?.() !== 0) return 'it needs root';
    for (const tool of ['wireguard-go', 'wg', 'ip']) {
      try {
        run('which', tool);
      } catch {
        return `there is no ${tool}`;
      }
    }
    try {
      accessSync('/dev/net/tun');
      return undefined;
    } catch {
      return 'there is no /dev/net/tun';
    }
  },

  async open({ dist, progress }) {
    const lab = await createLab();
    try {
      const cryptos = (await backends(dist, progress)).filter(({ name }) => name !== 'noble');
      const cases = [];
      for (const connections of [1, 4]) {
        const group = `download, ${connections} ${connections === 1 ? 'connection' : 'connections'}`;
        cases.push({ group, name: 'kernel TCP', baseline: true, run: () => lab.kernel({ dist, connections }) });
        for (const { name } of cryptos) cases.push({ group, name, run: () => lab.tunnel({ dist, connections }, name) });
      }
      return { cases, close: lab.close };
    } catch (error) {
      await lab.close();
      throw error;
    }
  },
};

async function createLab() {
  const id = (process.pid % 46_656).toString(36);
  const names = { client: `slbc${id}`, server: `slbs${id}` };
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const keys = { client: wg(['genkey']), server: wg(['genkey']) };
  const publicKeys = { client: wg(['pubkey'], keys.client), server: wg(['pubkey'], keys.server) };
  const undo = [() => rmSync(folder, { recursive: true, force: true })];
  const close = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  const common = { host: '10.66.0.2', port: PORT, direction: 'download', warmupSeconds: 1, seconds: 4 };
  const enter = ['ip', 'netns', 'exec', names.client];

  try {
    cable(names, undo);
    const daemon = await wireguard(names.server, `slbw${id}`, '10.66.0.2/24', undo, folder, {
      Interface: { PrivateKey: keys.server, ListenPort: 51820 },
      Peer: { PublicKey: publicKeys.client, AllowedIPs: '10.66.0.1/32' },
    });
    const source = start([
      'ip',
      'netns',
      'exec',
      names.server,
      process.execPath,
      program('source.mjs'),
      '10.66.0.2',
      `${PORT}`,
    ]);
    undo.push(() => source.end());
    await new Promise((resolve) => source.child.stdout.once('data', resolve));

    /** Runs one download. `near` is a daemon that does the client's work, `daemon` the far end; the warm-up is taken out in proportion. */
    const measured = async (options, { near, env } = {}) => {
      const cpu = () => [near ? cpuSecondsOf(near) : 0, cpuSecondsOf(daemon)];
      const before = cpu();
      const result = await download({ ...common, ...options }, { prefix: enter, env });
      const share = common.seconds / (common.seconds + common.warmupSeconds);
      const [nearSeconds, farSeconds] = cpu().map((seconds, i) => (seconds - before[i]) * share);
      return figures({ ...result, cpuSeconds: result.cpuSeconds + nearSeconds }, { 'far wireguard-go': farSeconds });
    };

    return {
      close,
      tunnel({ dist, connections }, crypto) {
        const conf =
          `[Interface]\nPrivateKey = ${keys.client}\nAddress = 10.66.0.1/32\n` +
          `[Peer]\nPublicKey = ${publicKeys.server}\nAllowedIPs = 0.0.0.0/0\nEndpoint = 10.9.0.2:51820\n`;
        return measured({ dist, conf, connections }, { env: { SLUICE_CRYPTO: crypto } });
      },
      async kernel({ dist, connections }) {
        const steps = [];
        try {
          const near = await wireguard(names.client, `slbk${id}`, '10.66.0.1/24', steps, folder, {
            Interface: { PrivateKey: keys.client },
            Peer: { PublicKey: publicKeys.server, AllowedIPs: '10.66.0.0/24', Endpoint: '10.9.0.2:51820' },
          });
          return await measured({ dist, connections }, { near });
        } finally {
          for (const step of steps.reverse()) await step();
        }
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function cable({ client, server }, undo) {
  for (const name of [client, server]) {
    run('ip', 'netns', 'add', name);
    undo.push(() => run('ip', 'netns', 'del', name));
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
}

/** wireguard-go in a namespace, configured and up. Returns its process id. */
async function wireguard(namespace, name, address, undo, folder, sections) {
  const daemon = start(['ip', 'netns', 'exec', namespace, 'wireguard-go', '-f', name], {
    env: { ...process.env, LOG_LEVEL: 'error' },
    // It advises against itself on every start.
    stdio: 'ignore',
  });
  undo.push(() => daemon.end());
  const socket = `/var/run/wireguard/${name}.sock`;
  await until(() => existsSync(socket), 'wireguard-go did not start');
  const text = Object.entries(sections).map(
    ([section, values]) =>
      `[${section}]\n${Object.entries(values)
        .map(([key, value]) => `${key} = ${value}\n`)
        .join('')}`,
  );
  const file = join(folder, `${name}.conf`);
  writeFileSync(file, text.join(''), { mode: 0o600 });
  wg(['setconf', name, file]);
  run('ip', '-n', namespace, 'addr', 'add', address, 'dev', name);
  run('ip', '-n', namespace, 'link', 'set', name, 'mtu', '1420', 'up');
  return daemon.child.pid;
}
