/** Tunnel to tunnel in two processes through UDP on loopback: the whole way, sockets and event loop included. */
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { backends } from '../backends.mjs';
import { download, figures, program } from '../processes.mjs';

export const loopback = {
  name: 'loopback',
  title: 'Tunnel to tunnel over UDP on loopback',
  note: 'TCP payload; client and server are one process each, on node:dgram. The server counts as another machine’s load.',
  async open({ dist, progress }) {
    const cryptos = (await backends(dist, progress)).filter(({ name }) => name !== 'noble');
    const cases = [];
    for (const [direction, connections] of [
      ['download', 1],
      ['download', 16],
      ['upload', 1],
    ]) {
      for (const [i, crypto] of cryptos.entries()) {
        cases.push({
          group: `${direction}, ${connections} ${connections === 1 ? 'connection' : 'connections'}`,
          name: crypto.name,
          baseline: i === 0,
          run: () => measure(dist, crypto, direction, connections),
        });
      }
    }
    return { cases };
  },
};

async function measure(dist, crypto, direction, connections) {
  const [mine, theirs] = [randomBytes(32), randomBytes(32)];
  const base64 = (bytes) => Buffer.from(bytes).toString('base64');
  const server = fork(program('tunnel-server.mjs'), [
    JSON.stringify({
      dist,
      crypto: crypto.name,
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
    const options = { dist, conf, host: '10.66.0.2', port: 80, connections, direction, warmupSeconds: 1, seconds: 3 };
    const before = await cpuOf(server);
    const result = await download(options, { env: { SLUICE_CRYPTO: crypto.name } });
    const after = await cpuOf(server);
    // The server's time includes the warm-up: scaled to the measured part.
    const share = options.seconds / (options.seconds + options.warmupSeconds);
    return figures(result, { server: (after - before) * share });
  } finally {
    const exited = once(server, 'exit');
    server.disconnect();
    await exited;
  }
}

async function cpuOf(server) {
  const answer = once(server, 'message');
  server.send('cpu');
  return (await answer)[0].cpuSeconds;
}
