/**
 * A seeded UDP relay between the client and the server: delay, loss, reordering, duplication and a rate with a bounded queue,
 * each way. Arguments: listen host, listen port, target host, target port, and JSON options.
 */
import dgram from 'node:dgram';

const [, , listenHost, listenPort, targetHost, targetPort, json = '{}'] = process.argv;
const options = { delayMs: 0, loss: 0, reorder: 0, duplicate: 0, mbit: 0, queueMs: 50, seed: 1, ...JSON.parse(json) };
const bytesPerMs = (options.mbit * 1e6) / 8 / 1000;
const family = (host) => (host.includes(':') ? 'udp6' : 'udp4');
const socketOptions = { recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 };

/** One direction, with a random stream of its own so that both runs of a pair see the same fates in the same order. */
class Direction {
  constructor(seed, send) {
    this.state = (seed * 2654435761) | 1;
    this.send = send;
    this.queue = [];
    this.head = 0;
    this.freeAt = 0;
    this.timer = undefined;
    this.counts = { in: 0, lost: 0, queueFull: 0 };
  }

  random() {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) / 0x1_0000_0000;
  }

  push(message) {
    this.counts.in++;
    const now = performance.now();
    if (this.random() < options.loss) return void this.counts.lost++;
    let at = now + options.delayMs;
    if (bytesPerMs > 0) {
      const freeAt = Math.max(this.freeAt, now) + (message.length + 28) / bytesPerMs;
      if (freeAt - now > options.queueMs) return void this.counts.queueFull++;
      this.freeAt = freeAt;
      at = freeAt + options.delayMs;
    }
    if (this.random() < options.reorder)
      return void setTimeout(() => this.send(message), at - now + 2 + this.random() * 6);
    this.queue.push({ message, at });
    if (this.random() < options.duplicate) this.queue.push({ message, at });
    this.timer ??= setTimeout(() => this.drain(), 1);
    return undefined;
  }

  drain() {
    const now = performance.now();
    while (this.head < this.queue.length && this.queue[this.head].at <= now) this.send(this.queue[this.head++].message);
    if (this.head > 4096) {
      this.queue.splice(0, this.head);
      this.head = 0;
    }
    const more = this.head < this.queue.length;
    this.timer = more ? setTimeout(() => this.drain(), 1) : undefined;
    if (!more) {
      this.queue.length = 0;
      this.head = 0;
    }
  }
}

const inside = dgram.createSocket({ type: family(listenHost), ...socketOptions });
const outside = dgram.createSocket({ type: family(targetHost), ...socketOptions });
let client;
const up = new Direction(options.seed, (message) => outside.send(message));
const down = new Direction(options.seed + 1, (message) => client && inside.send(message, client.port, client.address));
inside.on('message', (message, from) => {
  client = from;
  up.push(message);
});
outside.on('message', (message) => down.push(message));
for (const socket of [inside, outside]) socket.on('error', () => {});
inside.bind(Number(listenPort), listenHost);
outside.connect(Number(targetPort), targetHost, () => console.log('ready'));
process.on('SIGTERM', () => {
  console.log(JSON.stringify({ up: up.counts, down: down.counts }));
  process.exit(0);
});
