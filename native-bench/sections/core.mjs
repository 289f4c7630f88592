/**
 * The core alone, in memory: WireGuard and TCP from datagram to stream bytes and back, without sockets and without waiting. Only
 * the client's side is timed. A second transfer of each round times the AEAD within it as well, for the ratio of the two.
 */
import { backends, fromDist } from '../backends.mjs';

/** Stream bytes per case and round. */
const TRANSFER_BYTES = 24 << 20;
const CHUNK_BYTES = 64 << 10;
const BURST_DATAGRAMS = 32;
/** A turn takes about 0.1 ms; one that took this long had lost the processor to someone else, and is left out. */
const INTERRUPTED_NS = 3e6;

export const core = {
  name: 'core',
  title: 'The core in memory, per full packet of the transfer',
  note: 'Time of the client side only: AEAD, TCP, acknowledgements, hand-over. Bursts of 32 datagrams. "× AEAD" is all of it against the AEAD in it.',
  async open({ dist, note }) {
    const modules = await load(dist);
    const cryptos = (await backends(dist, note)).filter(({ name }) => name !== 'noble');
    const cases = [];
    for (const [direction, connections] of [
      ['download', 1],
      ['download', 200],
      ['upload', 1],
    ]) {
      for (const [i, crypto] of cryptos.entries()) {
        cases.push({
          group: `${direction}, ${connections} ${connections === 1 ? 'connection' : 'connections'}`,
          name: crypto.name,
          baseline: i === 0,
          run() {
            const { nanoseconds, packets, bytes } = transfer(modules, crypto, direction, connections);
            const within = timedAead(crypto);
            const timed = transfer(modules, within.crypto, direction, connections, within.begin);
            return {
              'ns/packet': nanoseconds / packets,
              'Gbit/s of one core': (bytes * 8) / nanoseconds,
              '× AEAD': timed.nanoseconds / within.end(),
            };
          },
        });
      }
    }
    for (const { run } of cases) run();
    return { cases };
  },
};

async function load(dist) {
  const [machine, burst, instant, address, random] = await Promise.all(
    [
      'core/tunnel/tunnel-machine.js',
      'core/base/burst.js',
      'core/base/instant.js',
      'core/base/address.js',
      'node/random.js',
    ].map((name) => fromDist(dist, name)),
  );
  return { ...machine, ...burst, ...instant, ...address, ...random };
}

/** One end of the tunnel and what its sockets do. */
class End {
  nanoseconds = 0;
  turning = false;
  packets = 0;
  received = 0;
  constructor(modules, options, now) {
    this.machine = new modules.TunnelMachine(
      { ...options, mtu: 1420, dnsServers: [], random: modules.systemRandom },
      now,
    );
    this.out = new modules.Burst(BURST_DATAGRAMS);
    this.chunk = new Uint8Array(CHUNK_BYTES);
    this.credits = new Map();
    this.sends = false;
  }

  /** Takes what the other end sent, answers its events, fills `out`. True if anything was sent. */
  turn(burst, now) {
    const start = process.hrtime.bigint();
    const { machine } = this;
    this.turning = true;
    if (burst) machine.handleBurst(burst, now);
    const due = machine.nextTimeout();
    if (due !== undefined && due <= now) machine.handleTimeout(now);
    for (let event = machine.nextOutput(); event; event = machine.nextOutput()) this.handle(event, now);
    while (machine.nextTunnelEvent());
    this.out.clear();
    machine.transmit(this.out, now);
    this.turning = false;
    const nanoseconds = Number(process.hrtime.bigint() - start);
    if (nanoseconds < INTERRUPTED_NS) this.nanoseconds += nanoseconds;
    return this.out.count > 0;
  }

  handle(event, now) {
    const { socket } = event;
    if (event.kind === 'tcp-data') {
      this.received += event.bytes.length;
      this.machine.handleCommand({ kind: 'tcp-credit', socket, bytes: event.bytes.length }, now);
    } else if (event.kind === 'tcp-connected' || event.kind === 'tcp-accepted') {
      this.write(socket, event.writeCredit, now);
    } else if (event.kind === 'tcp-write-credit') {
      this.write(socket, event.bytes, now);
    } else if (event.kind === 'closed') {
      throw new Error(`socket ${socket} closed: ${event.error}`);
    }
  }

  write(socket, granted, now) {
    if (!this.sends) return;
    let credit = (this.credits.get(socket) ?? 0) + granted;
    while (credit >= CHUNK_BYTES) {
      this.machine.handleCommand({ kind: 'tcp-write', socket, bytes: this.chunk }, now);
      credit -= CHUNK_BYTES;
    }
    this.credits.set(socket, credit);
  }
}

/** The same backend, whose calls are timed while it is the client's turn. */
function timedAead(crypto) {
  let nanoseconds = 0;
  let client;
  const timed = (call) => {
    const start = process.hrtime.bigint();
    const result = call();
    const taken = Number(process.hrtime.bigint() - start);
    if (taken < INTERRUPTED_NS) nanoseconds += taken;
    return result;
  };
  return {
    begin: (end) => (client = end),
    end: () => nanoseconds,
    crypto: {
      ...crypto,
      aeadKey(bytes) {
        const key = crypto.aeadKey(bytes);
        return {
          seal: (...args) => (client?.turning ? timed(() => key.seal(...args)) : key.seal(...args)),
          open: (...args) => (client?.turning ? timed(() => key.open(...args)) : key.open(...args)),
          wipe: () => key.wipe(),
        };
      },
    },
  };
}

function transfer(modules, crypto, direction, connections, begin) {
  const { instant, ip, prefix, systemRandom } = modules;
  let milliseconds = 1000;
  const privateKey = () => {
    const key = new Uint8Array(32);
    systemRandom.fill(key);
    return key;
  };
  let stamp = 0;
  const timestamp = () => {
    const bytes = new Uint8Array(12);
    bytes[11] = ++stamp;
    return bytes;
  };
  const keys = { client: privateKey(), server: privateKey() };
  const endpoint = (last) => ({ address: ip(`192.0.2.${last}`), port: 51820 });
  const options = (mine, theirs, address, allowed) => ({
    crypto,
    timestamp,
    privateKey: mine,
    addresses: [ip(address)],
    peers: [{ publicKey: crypto.keyPair(theirs).publicKey, allowedIps: [prefix(ip(allowed), 32)] }],
  });
  const now = instant(milliseconds);
  const client = new End(modules, options(keys.client, keys.server, '10.0.0.2', '10.0.0.1'), now);
  const server = new End(modules, options(keys.server, keys.client, '10.0.0.1', '10.0.0.2'), now);
  begin?.(client);
  (direction === 'download' ? server : client).sends = true;
  client.machine.setEndpoint(client.machine.peers[0], endpoint(1), now);
  server.machine.handleCommand({ kind: 'tcp-listen', socket: 1, port: 80, backlog: 512 }, now);
  for (let socket = 1; socket <= connections; socket++)
    client.machine.handleCommand({ kind: 'tcp-connect', socket, to: { address: ip('10.0.0.1'), port: 80 } }, now);

  const receiver = direction === 'download' ? client : server;
  const relay = (from, to, source) => {
    if (from.out.count === 0) return false;
    for (let i = 0; i < from.out.count; i++) from.out.endpoints[i] = source;
    const full = (burst) =>
      burst.lengths.subarray(0, burst.count).reduce((n, length) => n + (length > 1000 ? 1 : 0), 0);
    from.packets += full(from.out);
    to.turn(from.out, instant(milliseconds));
    return true;
  };
  const clientSource = endpoint(2);
  const serverSource = endpoint(1);
  client.turn(undefined, now);
  for (let idle = 0; receiver.received < TRANSFER_BYTES; ) {
    milliseconds += 0.05;
    const moved = relay(client, server, clientSource) | relay(server, client, serverSource);
    if (moved) {
      idle = 0;
      continue;
    }
    // Nothing is on the way: a delayed acknowledgement or another timer must come first.
    if (++idle > 1000) throw new Error(`the transfer stands still at ${receiver.received} bytes`);
    milliseconds += 5;
    client.turn(undefined, instant(milliseconds));
    server.turn(undefined, instant(milliseconds));
  }
  const sender = direction === 'download' ? server : client;
  return { nanoseconds: client.nanoseconds, packets: sender.packets, bytes: receiver.received };
}
