/** Tunnel to tunnel in two processes through UDP on loopback: the whole way, sockets and event loop included. */
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromDist } from '../dist.mjs';
import { perGib, program, transfer } from '../processes.mjs';

export const loopback = {
  name: 'loopback',
  title: 'Tunnel to tunnel over UDP on loopback',
  note: 'TCP payload; client and server are one process each, both on the UDP port that is named. The server counts as another machine’s load.',
  async open({ dist, smoke }) {
    const { backends } = await fromDist(dist, 'bench/backends.js');
    const { found, notShown } = await backends(['noble']);
    const { selectUdp } = await fromDist(dist, 'node/udp/select.js');
    const libc = selectUdp({ onSkipped: ({ message }) => notShown.push(`UDP port ffi: ${message}`) });
    const udps = libc ? ['ffi', 'dgram'] : ['dgram'];
    // Both ports with the fastest cryptography, the faster port with the others.
    const pairs = found.flatMap((crypto, i) => (i === 0 ? udps : udps.slice(0, 1)).map((udp) => ({ crypto, udp })));
    const cases = [];
    for (const [direction, connections] of [
      ['download', 1],
      ['download', 16],
      ['upload', 1],
    ]) {
      for (const [i, { crypto, udp }] of pairs.entries()) {
        cases.push({
          group: `${direction}, ${connections} ${connections === 1 ? 'connection' : 'connections'}`,
          name: `${crypto.name}, ${udp}`,
          baseline: i === 0,
          run: () => measure({ dist, smoke, crypto, udp, direction, connections }),
        });
      }
    }
    return { cases, notShown };
  },
};

async function measure({ dist, smoke, crypto, udp, direction, connections }) {
  const [mine, theirs] = [randomBytes(32), randomBytes(32)];
  const base64 = (bytes) => Buffer.from(bytes).toString('base64');
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const counter = join(folder, 'counter');
  const server = fork(program('tunnel-server.mjs'), [
    JSON.stringify({
      dist,
      crypto: crypto.name,
      udp,
      counter,
      privateKey: base64(theirs),
      clientPublicKey: base64(crypto.keyPair(mine).publicKey),
    }),
  ]);
  try {
    const [{ port }] = await once(server, 'message');
    const conf = [
      '[Interface]',
      `PrivateKey = ${base64(mine)}`,
      'Address = 10.66.0.1/32',
      '[Peer]',
      `PublicKey = ${base64(crypto.keyPair(theirs).publicKey)}`,
      'AllowedIPs = 0.0.0.0/0',
      `Endpoint = 127.0.0.1:${port}`,
    ].join('\n');
    const options = {
      dist,
      conf,
      host: '10.66.0.2',
      port: 80,
      connections,
      direction,
      watch: { server: server.pid },
      counter,
    };
    const times = smoke ? { warmupSeconds: 0.3, seconds: 0.5 } : { warmupSeconds: 1, seconds: 3 };
    const result = await transfer({ ...options, ...times }, { env: { SLUICE_CRYPTO: crypto.name, SLUICE_UDP: udp } });
    return {
      'Mbit/s': result.mbitPerSecond,
      'client CPU s/GiB': perGib(result.cpuSeconds, result.bytes),
      'server CPU s/GiB': perGib(result.watched.server, result.bytes),
      'client loop p99, ms': result.loopP99Ms,
    };
  } finally {
    const exited = once(server, 'exit');
    server.disconnect();
    await exited;
    rmSync(folder, { recursive: true, force: true });
  }
}
