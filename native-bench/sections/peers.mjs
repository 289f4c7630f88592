/** Whole downloads and uploads through every client that is found, from and to the same server behind a real wireguard-go. */
import { fromDist } from '../dist.mjs';
import { Lab, missingForLab, SERVER } from '../lab.mjs';
import { findPeers } from '../peers.mjs';
import { transfer } from '../processes.mjs';
import { ENGINES } from '../variants.mjs';

export const peers = {
  name: 'peers',
  title: 'End to end, beside other clients',
  note:
    'An endless stream between a Node program at the client and a plain TCP server behind a real wireguard-go (CUBIC senders, tunnel ' +
    'MTU 1420, a veth between two namespaces). “Client” is the user and system time of every process at the client: for Sluice the one ' +
    'process that embeds it and reads; all read into one buffer (`onread` of node:net and of the tunnel), but “by events”; ' +
    'for a proxy the proxy and the reader; for a TUN the daemon and the reader, whose system time ' +
    'holds the kernel’s TCP. “Tunnel” is the same without the reader, where that is another process. Time in ksoftirqd is charged ' +
    'to nobody; receiving from the veth is charged to whoever sends. All processes share the processors, the far end among them, so ' +
    'Mbit/s says what the whole chain does, and seconds per GiB what the client costs. Ratios are to Sluice with its engine on a worker, the default where the fast UDP port works.',
  missing: missingForLab,

  async open({ dist, effort }) {
    const smoke = effort === 'smoke';
    const { perGib } = await fromDist(dist, 'bench/transfer.js');
    const { found, notShown } = findPeers();
    const lab = await Lab.open(1 + found.length);
    // Until V8 has compiled what it will.
    const times = smoke ? { warmupSeconds: 0.1, seconds: 0.3 } : { warmupSeconds: 3, seconds: 3 };
    const cases = [];
    for (const direction of ['download', 'upload']) {
      for (const connections of smoke ? [1] : [1, 32]) {
        const group = `${direction}, ${connections} ${connections === 1 ? 'stream' : 'streams'}`;
        const work = { dist, direction, connections, counter: lab.counter, ...times, reading: 'buffer' };
        const [ownClient, ...clients] = lab.clients;
        const embedded = async (env, reading = work.reading) => {
          const options = {
            ...work,
            reading,
            ...SERVER,
            conf: lab.conf(ownClient),
            watch: { server: lab.serverPid },
          };
          const result = await transfer(options, { prefix: lab.atClient, env });
          return { result, client: result.cpuSeconds, tunnel: result.cpuSeconds };
        };
        const through = async (peer, client) => {
          const running = await peer.start(lab, client);
          try {
            const watch = { tunnel: running.pid, server: lab.serverPid };
            const result = await transfer({ ...work, ...peer.reader, watch }, { prefix: lab.atClient });
            const { tunnel } = result.watched;
            return { result, client: tunnel + result.cpuSeconds, tunnel };
          } finally {
            await running.end();
          }
        };
        const figures = ({ result: { bytes, mbitPerSecond, watched }, client, tunnel }) => ({
          'Mbit/s': mbitPerSecond,
          'client CPU s/GiB': perGib(client, bytes),
          'tunnel CPU s/GiB': perGib(tunnel, bytes),
          'far end CPU s/GiB': perGib(watched.server, bytes),
        });
        for (const [index, { name, env }] of ENGINES.entries()) {
          const run = async () => figures(await embedded(env));
          cases.push({ group, name: `Sluice, ${name}`, baseline: index === 0, run });
        }
        if (direction === 'download')
          cases.push({ group, name: 'Sluice, by events', run: async () => figures(await embedded({}, 'events')) });
        for (const [index, peer] of found.entries())
          cases.push({ group, name: peer.name, run: async () => figures(await through(peer, clients[index])) });
      }
    }
    const summary = () => `Found: ${found.map(({ name, version }) => `${name} (${version})`).join('; ')}.`;
    return { cases, notShown, summary, close: () => lab.close() };
  },
};
