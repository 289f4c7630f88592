/** The worker: an `InlineEngine` on a thread of its own, behind two lanes. It ends when it is told to close, or by what it throws. */

import { parentPort, workerData } from 'node:worker_threads';
import { hostClock } from '../clock.ts';
import { type EngineHost, InlineEngine } from '../inline-engine.ts';
import { Poller } from '../udp/poller.ts';
import { selectUdp } from '../udp/select.ts';
import { type OpenUdpPort, openDgramPort } from '../udp-port.ts';
import { Bell } from './bell.ts';
import type { Downward, Upward } from './codec.ts';
import { Inbox, Outbox } from './lane.ts';
import { MirrorWriter } from './mirror-page.ts';
import { plain, SIGNAL, type Start, type Word } from './protocol.ts';

/** So old figures may be, while nothing is told that they might be compared with. */
const MIRROR_MS = 20;
/** What comes by other ways than datagrams and commands, such as the address of a name, may wait so long. */
const LONGEST_SLEEP_MS = 100;

const { description, upward, downward, mirror: page, signals, messages, bell: bellPort, clockLeadMs } = start();
const clock = hostClock(clockLeadMs);
const mirror = new MirrorWriter(page);
const bell = new Bell(signals, SIGNAL.engine, SIGNAL.embedder, () => bellPort.postMessage(0));
const inbox = new Inbox<Downward>({ ring: downward, messages }, () => bell.ring());
const outbox = new Outbox({ ring: upward, messages }, { wake: () => bell.ring(), onDrop: () => dropped++ });
let dropped = 0;
/** The mirror is to be written before what was sent is shown. */
let mirrorDue = true;
let mirroredAt = clock.now();
let mirrorTimer: NodeJS.Timeout | undefined;
/** Absent where datagrams come through node:dgram. */
let poller: Poller | undefined;
let opened: InlineEngine | undefined;

try {
  const onTurn = (): void => opened && flush(opened);
  const engine = await InlineEngine.open(description, { clock, udpPorts, onTurn });
  opened = engine;
  engine.onEvent = (event) => {
    if (send(event) && event.kind === 'tcp-data') engine.reclaim(event.bytes);
  };
  engine.onTunnelEvent = (event) => send({ kind: 'tunnel', event });
  flush(engine);
  if (poller) poll(engine, poller);
  else bellPort.on('message', () => look(engine));
  tell({ kind: 'opened', ...(poller ? { wake: poller.wakeDescriptor, descriptors: poller.descriptors } : {}) });
} catch (error) {
  await poller?.close();
  wipe();
  tell({ kind: 'refused', error: plain(error) });
}

function udpPorts(...[udp, memory]: Parameters<EngineHost['udpPorts']>): OpenUdpPort {
  const libc = selectUdp({ prefer: udp });
  if (libc) poller = new Poller(libc, memory);
  return commandsFirst(poller?.openUdpPort ?? openDgramPort);
}

/** A datagram may come because of a command that was given before it was sent, such as to listen: so that one is carried out first. */
function commandsFirst(open: OpenUdpPort): OpenUdpPort {
  return (options, { onBurst, ...handlers }) =>
    open(options, {
      ...handlers,
      onBurst: (burst) => {
        if (opened) drain(opened);
        onBurst(burst);
      },
    });
}

function drain(engine: InlineEngine): void {
  inbox.drain((message) => handle(engine, message));
}

/** Somebody has woken this thread, or it looks by itself. */
function look(engine: InlineEngine): void {
  bell.doze();
  drain(engine);
  outbox.retry();
}

/** One turn after the other: sleep over all ports, datagrams, commands; then Node has its own, for what comes by timers and promises. */
function poll(engine: InlineEngine, ports: Poller): void {
  const turn = (): void => {
    bell.doze();
    ports.wait(inbox.empty ? sleepMs(engine) : 0);
    bell.watch();
    ports.receive();
    drain(engine);
    engine.handleDue();
    outbox.retry();
    setImmediate(turn);
  };
  setImmediate(turn);
}

function sleepMs(engine: InlineEngine): number {
  const next = engine.nextTurn();
  const longest = outbox.wakesSoon ? 1 : mirrorTimer ? MIRROR_MS : LONGEST_SLEEP_MS;
  return next === undefined ? longest : Math.min(longest, next - clock.now());
}

function handle(engine: InlineEngine, message: Downward): void {
  if (message.kind === 'control') engine.control(message.command);
  else if (message.kind === 'settle') void settle(engine, message.number);
  else if (message.kind === 'shut-down') void shutDown(engine);
  else engine.post(message);
}

async function settle(engine: InlineEngine, number: number): Promise<void> {
  await engine.settled();
  send({ kind: 'settled', number });
  flush(engine);
}

async function shutDown(engine: InlineEngine): Promise<void> {
  await engine.close();
  wipe();
  // A look-up of a name that is under way would keep the thread for seconds.
  process.exit();
}

/** True if nothing of it waits. */
function send(message: Upward): boolean {
  if (message.kind !== 'tcp-data' && message.kind !== 'tcp-write-credit') mirrorDue = true;
  return outbox.send(message);
}

function flush(engine: InlineEngine): void {
  if (mirrorDue || clock.now() - mirroredAt >= MIRROR_MS) writeMirror(engine);
  else mirrorTimer ??= setTimeout(() => writeMirror(engine), MIRROR_MS);
  outbox.flush();
}

function writeMirror(engine: InlineEngine): void {
  clearTimeout(mirrorTimer);
  mirrorTimer = undefined;
  mirrorDue = false;
  mirroredAt = clock.now();
  mirror.write(engine.mirror, dropped > 0 ? { 'udp-receive-queue-full': dropped } : {});
}

/** The keys in the description are this thread's own copies. */
function wipe(): void {
  for (const { privateKey, peers } of description.configurations) {
    privateKey.fill(0);
    for (const { presharedKey } of peers) presharedKey?.fill(0);
  }
}

function start(): Start {
  return workerData;
}

function tell(word: Word): void {
  parentPort?.postMessage(word);
}
