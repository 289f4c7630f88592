/**
 * The IP stack alone, in memory: what one full packet costs the side that receives it and the side that sends it, from the IP
 * header to stream bytes: parse, checksums, demultiplexing, copy, window, acknowledgements. No AEAD, no sockets. "× checksum" is
 * the same against summing such a packet once, which says more than nanoseconds on a busy machine.
 */
import { fromDist } from '../dist.mjs';

/** Stream bytes of each transfer. */
const TRANSFER_MIB = { smoke: 2, full: 48 };
const CHUNK_BYTES = 64 << 10;
const BURST_PACKETS = 64;
const SLOT_BYTES = 2048;
/** Where an inner packet stands in a datagram. */
const SLOT_OFFSET = 16;
const INTERRUPTED_NS = 3e6;
const PACKET_BYTES = 1420;

export const tcp = {
  name: 'tcp',
  title: 'The IP stack in memory, per full packet',
  note: `Bursts of ${BURST_PACKETS} packets of ${PACKET_BYTES} bytes; every byte is handed over and credited at once.`,
  async open({ dist, effort }) {
    const modules = await load(dist);
    const bytes = TRANSFER_MIB[effort] << 20;
    const cases = [];
    for (const [connections, loss] of [
      [1, 0],
      [32, 0],
      [200, 0],
      [1, 0.01],
    ]) {
      for (const side of ['receive', 'send']) {
        cases.push({
          group: `${connections} ${connections === 1 ? 'connection' : 'connections'}${loss ? `, ${loss * 100} % lost` : ''}`,
          name: side,
          baseline: side === 'receive',
          run() {
            const { receiver, sender, packets } = transfer(modules, connections, loss, bytes);
            const nanoseconds = (side === 'receive' ? receiver : sender).nanoseconds / packets;
            return { 'ns/packet': nanoseconds, '× checksum': nanoseconds / checksumNanoseconds(modules) };
          },
        });
      }
    }
    for (const { run } of cases) run();
    return { cases };
  },
};

async function load(dist) {
  const names = ['netstack/netstack.js', 'base/instant.js', 'base/address.js', 'wire/checksum.js'];
  const modules = await Promise.all(names.map((name) => fromDist(dist, `core/${name}`)));
  return Object.assign({}, ...modules);
}

/** One host: a stack, and memory for the burst it sends. */
class End {
  nanoseconds = 0;
  slab = new Uint8Array(BURST_PACKETS * SLOT_BYTES);
  lengths = new Int32Array(BURST_PACKETS);
  count = 0;
  received = 0;
  credits = new Map();
  chunk = new Uint8Array(CHUNK_BYTES);
  constructor(modules, address, sends, seed, now) {
    const random = {
      fill: (target) =>
        target.forEach((_, i) => {
          target[i] = (i + 1) * 37 + seed;
        }),
    };
    this.stack = new modules.Netstack({ addresses: [modules.ip(address)], mtu: PACKET_BYTES, random }, now);
    this.sends = sends;
  }

  /** Takes a burst, answers the events it leads to, and fills its own. True if anything is to be sent. */
  turn(from, now) {
    const start = process.hrtime.bigint();
    const { stack } = this;
    if (from) {
      for (let i = 0; i < from.count; i++)
        if (from.lengths[i] > 0) stack.handlePacket(from.slab, i * SLOT_BYTES + SLOT_OFFSET, from.lengths[i], now);
      stack.endBurst(now);
    }
    const due = stack.nextTimeout();
    if (due !== undefined && due <= now) stack.handleTimeout(now);
    for (let event = stack.nextOutput(); event; event = stack.nextOutput()) this.handle(event, now);
    this.count = 0;
    while (this.count < BURST_PACKETS) {
      const length = stack.nextPacket(this.slab, this.count * SLOT_BYTES + SLOT_OFFSET, now);
      if (length === 0) break;
      this.lengths[this.count++] = length;
    }
    const nanoseconds = Number(process.hrtime.bigint() - start);
    if (nanoseconds < INTERRUPTED_NS) this.nanoseconds += nanoseconds;
    return this.count > 0;
  }

  handle(event, now) {
    const { kind, socket } = event;
    if (kind === 'tcp-data') {
      this.received += event.bytes.length;
      this.stack.handleCommand({ kind: 'tcp-credit', socket, bytes: event.bytes.length }, now);
    } else if (kind === 'tcp-accepted') this.write(socket, event.writeCredit, now);
    else if (kind === 'tcp-write-credit') this.write(socket, event.bytes, now);
    else if (kind === 'closed') throw new Error(`socket ${socket} closed: ${event.error}`);
  }

  write(socket, granted, now) {
    if (!this.sends) return;
    let credit = (this.credits.get(socket) ?? 0) + granted;
    for (; credit >= CHUNK_BYTES; credit -= CHUNK_BYTES)
      this.stack.handleCommand({ kind: 'tcp-write', socket, bytes: this.chunk }, now);
    this.credits.set(socket, credit);
  }
}

function transfer(modules, connections, loss, bytes) {
  const { instant, ip } = modules;
  let milliseconds = 1000;
  const now = instant(milliseconds);
  const receiver = new End(modules, '10.0.0.2', false, 1, now);
  const sender = new End(modules, '10.0.0.1', true, 2, now);
  sender.stack.handleCommand({ kind: 'tcp-listen', socket: 1, port: 80, backlog: 512 }, now);
  for (let socket = 1; socket <= connections; socket++)
    receiver.stack.handleCommand({ kind: 'tcp-connect', socket, to: { address: ip('10.0.0.1'), port: 80 } }, now);
  receiver.turn(undefined, now);
  let packets = 0;
  let random = 1;
  while (receiver.received < bytes) {
    milliseconds += 0.5;
    sender.turn(receiver, instant(milliseconds));
    for (let i = 0; i < sender.count; i++) {
      if (sender.lengths[i] < 1000) continue;
      random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
      if (random / 2 ** 32 < loss) sender.lengths[i] = 0;
      else packets++;
    }
    milliseconds += 0.5;
    receiver.turn(sender, instant(milliseconds));
    if (sender.count === 0 && receiver.count === 0) milliseconds += 5;
  }
  return { receiver, sender, packets };
}

/** Summing one packet, now, on this machine. */
function checksumNanoseconds({ sum }) {
  const bytes = new Uint8Array(SLOT_BYTES);
  const rounds = 20_000;
  const start = process.hrtime.bigint();
  for (let i = 0; i < rounds; i++) sum(bytes, SLOT_OFFSET, PACKET_BYTES);
  return Number(process.hrtime.bigint() - start) / rounds;
}
