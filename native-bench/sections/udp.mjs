/** The UDP ports alone: bursts of 64 datagrams of one size from one socket to another on loopback, in this process. */
import { fromDist } from '../dist.mjs';

const BURST = 64;
const BURSTS = 60;
const WARMUP_BURSTS = 15;
const SIZES = [
  ['acknowledgements, 96 B', 96],
  ['full packets, 1452 B', 1452],
];

export const udp = {
  name: 'udp',
  title: 'UDP ports on loopback',
  note: 'Elapsed time of the calls that send, and from the first look to the last datagram for those that receive: medians over bursts.',
  async open({ dist, effort }) {
    const [{ Poller }, { watchedPorts }, { selectUdp }, { openDgramPort }] = await Promise.all(
      ['node/udp/poller.js', 'node/udp/watched-port.js', 'node/udp/select.js', 'node/udp-port.js'].map((name) =>
        fromDist(dist, name),
      ),
    );
    const notShown = [];
    const libc = selectUdp({ onSkipped: ({ message }) => notShown.push({ name: 'ffi', why: message }) });
    // One poller is polled, the other one only has ports that send, and those they send to.
    const [polled, idle] = libc ? [new Poller(libc), new Poller(libc)] : [];
    const other = idle?.openUdpPort ?? openDgramPort;
    const ports = {
      ...(libc && { 'ffi, polled': polled.openUdpPort, 'ffi, watched by the event loop': watchedPorts(libc) }),
      'node:dgram': openDgramPort,
    };
    const bursts = effort === 'smoke' ? 5 : BURSTS;
    const cases = [];
    const opened = [];
    for (const [what, size] of SIZES) {
      for (const [name, openUdpPort] of Object.entries(ports)) {
        const sender = await pair(openUdpPort, other);
        const receiver = await pair(other, openUdpPort);
        opened.push(sender, receiver);
        const baseline = name === 'node:dgram';
        const wait = name === 'ffi, polled' ? poll : turn;
        cases.push(
          { group: `send ${what}`, name, baseline, run: () => send(sender, size, bursts) },
          { group: `receive ${what}`, name, baseline, run: () => receive(receiver, size, bursts, wait) },
        );
      }
    }
    cases.sort((a, b) => a.group.localeCompare(b.group) || b.baseline - a.baseline);
    const close = async () => {
      await Promise.all(opened.flatMap(({ from, to }) => [from.close(), to.close()]));
      await Promise.all([polled?.close(), idle?.close()]);
    };
    return { cases, notShown, close };

    async function poll() {
      polled.wait(0);
      polled.receive();
    }
  },
};

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function pair(openFrom, openTo) {
  const state = { received: 0 };
  const handlers = {
    onBurst: (burst) => (state.received += burst.count),
    onDrain() {},
    onError(error) {
      throw error;
    },
  };
  const bind = { address: { family: 4, bytes: Uint8Array.of(127, 0, 0, 1) }, port: 0 };
  state.to = await openTo({ bind }, handlers);
  state.from = await openFrom({ remote: state.to.local }, handlers);
  return state;
}

function fill({ from }, size) {
  for (let i = 0; i < BURST; i++) from.transmit.push(size, undefined);
}

/** What is sent is not read: the receiver's buffer overflows, which costs the sender nothing. */
async function send(state, size, bursts) {
  const times = [];
  for (let i = 0; i < bursts + WARMUP_BURSTS; i++) {
    fill(state, size);
    const start = process.hrtime.bigint();
    state.from.flush();
    times.push(Number(process.hrtime.bigint() - start) / BURST);
    do await turn();
    while (state.from.congested);
  }
  return { 'ns/datagram': median(times.slice(WARMUP_BURSTS)) };
}

async function receive(state, size, bursts, wait) {
  const times = [];
  for (let i = 0; i < bursts + WARMUP_BURSTS; i++) {
    state.received = 0;
    fill(state, size);
    state.from.flush();
    const start = process.hrtime.bigint();
    while (state.received < BURST) await wait();
    times.push(Number(process.hrtime.bigint() - start) / BURST);
  }
  return { 'ns/datagram': median(times.slice(WARMUP_BURSTS)) };
}

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1];
}
