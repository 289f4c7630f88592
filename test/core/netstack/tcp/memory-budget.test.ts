/** Two hundred busy connections of one stack: what it promises, what it holds and what it lets be written, against its budgets. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_TCP_SETTINGS, type TcpSettings } from '../../../../src/core/netstack/tcp/settings.ts';
import { ipHeader } from '../../../../src/core/wire/ip.ts';
import { parseIpPacket } from '../../../../src/core/wire/ip-packet.ts';
import { parseTcp, TcpSegment } from '../../../../src/core/wire/tcp.ts';
import { tcpBudgets } from '../../../../src/node/memory-budget.ts';
import { heldBytes } from '../../../support/memory.ts';
import { Simulation } from '../../../support/tcp-simulation.ts';
import { openFlows, type Stream } from '../../../support/tcp-transfer.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const CONNECTIONS = 200;
/** In virtual time, but a great many packets. */
const TIMEOUT_MS = 120_000;
/** Long and wide enough for windows of twice the largest budget; now and then a packet is lost. */
const PATH = { rate: 3e9, delayMs: 100, queueBytes: 75e6, loss: 0.0005, burstMs: 0.5 };
/** In memory a connection costs more than its bytes: pages and pieces that are not full, what waits for acknowledgement, itself. */
const OVERHEAD = 64 * KIB;
/** What a stack keeps to use it again, 4 MiB of pages and 1.5 MiB of pieces, and its tables. */
const REUSED = 7 * MIB;
/** Credit to write that a connection gets though the budget is spent. */
const LEAST_CREDIT = 16 * KIB;

/** Large packets, for the sake of time. */
function openPath(settings: {
  readonly settingsA?: Partial<TcpSettings>;
  readonly settingsB?: Partial<TcpSettings>;
}): Simulation {
  const simulation = new Simulation({ seed: 7, aToB: PATH, bToA: PATH, ...settings });
  simulation.a.mtu = simulation.b.mtu = 8920;
  return simulation;
}

/** The largest figures of host a, looked at with each packet; the windows also as its peer sees them. */
class Peaks {
  windows = 0;
  outOfOrder = 0;
  sendBuffers = 0;
  announced = 0;
  readonly #windowOf: Map<number, number> = new Map();
  readonly #scaleOf: Map<number, number> = new Map();
  #announced = 0;

  constructor(simulation: Simulation) {
    const header = ipHeader();
    const segment = new TcpSegment();
    simulation.filter = (packet, from) => {
      const { windowBytes, outOfOrderBytes, sendBufferBytes } = simulation.a.tcp.memoryUse();
      this.windows = Math.max(this.windows, windowBytes);
      this.outOfOrder = Math.max(this.outOfOrder, outOfOrderBytes);
      this.sendBuffers = Math.max(this.sendBuffers, sendBufferBytes);
      if (from !== simulation.a) return true;
      parseIpPacket(packet, 0, packet.length, header);
      parseTcp(packet, header.payloadOffset, header.payloadLength, segment);
      this.#see(segment);
      return true;
    };
  }

  #see({ sourcePort, window, windowScale }: TcpSegment): void {
    if (windowScale >= 0) this.#scaleOf.set(sourcePort, windowScale);
    const bytes = windowScale >= 0 ? window : window << this.#scaleOf.get(sourcePort)!;
    this.#announced += bytes - (this.#windowOf.get(sourcePort) ?? 0);
    this.#windowOf.set(sourcePort, bytes);
    this.announced = Math.max(this.announced, this.#announced);
  }
}

/** Runs until the first has `bytes`, and tells how much of the average the slowest has by then; then until all have them. */
function shareOfSlowest(simulation: Simulation, bytes: number, streams: () => (Stream | undefined)[]): number {
  const runUntil = (enough: (received: readonly number[]) => boolean): number[] => {
    for (;;) {
      const received = streams().map((stream) => stream?.received ?? 0);
      if (enough(received) || simulation.now > 60_000) return received;
      simulation.run(simulation.now + 20);
    }
  };
  const received = runUntil((counts) => Math.max(...counts) === bytes);
  expect(new Set(runUntil((counts) => Math.min(...counts) === bytes))).toEqual(new Set([bytes]));
  return (Math.min(...received) * received.length) / received.reduce((sum, count) => sum + count, 0);
}

describe.each([
  { name: 'a router with 64 MiB', settings: tcpBudgets(64 * MIB), receive: 16 * MIB, send: 16 * MIB },
  { name: 'a container with 512 MiB', settings: tcpBudgets(512 * MIB), receive: 32 * MIB, send: 32 * MIB },
  {
    name: 'less than their first windows',
    settings: { receiveBudget: 4 * MIB, sendBudget: 4 * MIB },
    receive: CONNECTIONS * DEFAULT_TCP_SETTINGS.receiveWindowStart,
    send: 4 * MIB + CONNECTIONS * LEAST_CREDIT,
  },
])(`${CONNECTIONS} connections that want more than there is, with $name`, ({ settings, receive, send }) => {
  const each = MIB;
  const open = (clientBytes: number, serverBytes: number) => {
    const simulation = openPath({ settingsA: settings });
    const peaks = new Peaks(simulation);
    return { simulation, peaks, pairs: openFlows(simulation, CONNECTIONS, clientBytes, serverBytes) };
  };

  it('download within the receive budget, none far behind the others, and all bytes arrive', {
    timeout: TIMEOUT_MS,
  }, () => {
    const { simulation, peaks, pairs } = open(0, each);
    expect(shareOfSlowest(simulation, each, () => pairs.map((pair) => pair.client))).toBeGreaterThan(0.4);
    expect(peaks.windows).toBeLessThanOrEqual(receive);
    expect(peaks.windows).toBeGreaterThan(0.95 * receive);
    // A promise is kept when the window goes back to its share: the edge stays until the stream has caught up.
    expect(peaks.announced).toBeLessThan(1.25 * receive);
    expect(peaks.announced).toBeGreaterThan(0.95 * receive);
    expect(peaks.outOfOrder).toBeLessThanOrEqual(settings.receiveBudget);
    expect(peaks.outOfOrder).toBeGreaterThan(0);
  });

  it('upload within the send budget, none far behind the others, and all bytes arrive', { timeout: TIMEOUT_MS }, () => {
    const { simulation, peaks, pairs } = open(each, 0);
    expect(shareOfSlowest(simulation, each, () => pairs.map((pair) => pair.server))).toBeGreaterThan(0.4);
    expect(peaks.sendBuffers).toBeLessThanOrEqual(send);
    expect(peaks.sendBuffers).toBeGreaterThan(0.95 * send);
  });
});

describe(`${CONNECTIONS} connections whose windows and send buffers are full`, () => {
  it(`hold their budgets and ${OVERHEAD / KIB} KiB each, and nothing when they have ended`, {
    timeout: TIMEOUT_MS,
  }, () => {
    const settings = tcpBudgets(64 * MIB);
    const before = heldBytes();
    const simulation = openPath({ settingsA: settings, settingsB: settings });
    const { a, b } = simulation;
    const pairs = openFlows(simulation, CONNECTIONS, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    simulation.run(3000);
    const unread: Uint8Array[] = [];
    for (const host of [a, b]) {
      const { onEvent } = host;
      host.onEvent = (event) => {
        if (event.kind === 'tcp-data') unread.push(event.bytes);
        onEvent(event);
      };
    }
    for (const { client, server } of pairs) client.reading = server!.reading = false;
    simulation.run(6000);
    // Nothing is left on the path.
    simulation.filter = () => false;
    simulation.run(7000);
    const held = heldBytes() - before;
    const budgets = 2 * (settings.receiveBudget + settings.sendBudget);
    expect(unread.reduce((sum, { length }) => sum + length, 0)).toBeGreaterThan(0.9 * 2 * settings.receiveBudget);
    expect(held).toBeGreaterThan(0.95 * budgets);
    expect(held).toBeLessThan(budgets + 2 * CONNECTIONS * OVERHEAD);
    unread.length = 0;
    for (const { tcp } of [a, b]) tcp.reset('ECONNABORTED', simulation.time);
    for (const { tcp } of [a, b])
      expect(tcp.memoryUse()).toEqual({ windowBytes: 0, outOfOrderBytes: 0, sendBufferBytes: 0 });
    expect(heldBytes() - before).toBeLessThan(2 * REUSED);
  });
});
