/** From the start of a client's process to the first byte of a server behind the tunnel. */
import { once } from 'node:events';
import { Lab, missingForLab, SERVER } from '../lab.mjs';
import { findPeers } from '../peers.mjs';
import { program, start } from '../processes.mjs';

const LIMIT_MS = 15_000;

export const coldStart = {
  name: 'cold-start',
  title: 'From the start of the process to the first byte',
  note:
    'Start of the program, configuration, handshake, connection, first byte of a stream, over a veth without delay. For Sluice that ' +
    'is a Node program that embeds it; for the others a reader runs already and tries until it gets through; for a TUN, wg(8) and ' +
    'ip(8) are part of it.',
  missing: missingForLab,

  async open({ dist }) {
    const { found, notShown } = findPeers();
    const lab = await Lab.open(1 + found.length);
    const [ownClient, ...clients] = lab.clients;
    const options = { dist, ...SERVER, conf: lab.conf(ownClient) };
    const cases = [
      { group: 'first byte', name: 'Sluice', baseline: true, run: () => embedded(lab, options) },
      ...found.map((peer, index) => ({
        group: 'first byte',
        name: peer.name,
        run: () => through(lab, peer, clients[index]),
      })),
    ];
    return { cases, notShown, close: () => lab.close() };
  },
};

async function embedded(lab, options) {
  const startedAt = performance.now();
  const reader = startReader(lab, options);
  return finish(reader, startedAt);
}

async function through(lab, peer, client) {
  const reader = startReader(lab, peer.reader);
  await told(reader, 'ready');
  const startedAt = performance.now();
  reader.child.stdin.write('go\n');
  const running = await peer.start(lab, client);
  try {
    return await finish(reader, startedAt);
  } finally {
    await running.end();
  }
}

function startReader(lab, options) {
  const command = [...lab.atClient, process.execPath, program('first-byte.mjs'), JSON.stringify(options)];
  return start(command, { stdio: ['pipe', 'pipe', 'inherit'] });
}

async function finish(reader, startedAt) {
  try {
    await told(reader, 'byte');
    return { ms: performance.now() - startedAt };
  } finally {
    await reader.end();
  }
}

async function told(reader, word) {
  const [line] = await Promise.race([
    once(reader.child.stdout.setEncoding('utf8'), 'data', { signal: AbortSignal.timeout(LIMIT_MS) }),
    once(reader.child, 'exit'),
  ]);
  if (!`${line}`.includes(word)) throw new Error('the reader ended early');
}
