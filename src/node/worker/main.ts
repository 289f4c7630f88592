/** The worker: an `InlineEngine` on a thread of its own, behind two lanes. It ends when it is told to close, or by what it throws. */

import { parentPort, workerData } from 'node:worker_threads';
import { hostClock } from '../clock.ts';
import { InlineEngine } from '../inline-engine.ts';
import { Bell } from './bell.ts';
import type { Downward, Upward } from './codec.ts';
import { Inbox, Outbox } from './lane.ts';
import { MirrorWriter } from './mirror-page.ts';
import { plain, SIGNAL, type Start, type Word } from './protocol.ts';

/** So old figures may be, while nothing is told that they might be compared with. */
const MIRROR_MS = 20;

const { description, upward, downward, mirror: page, signals, messages, bell: bellPort, clockLeadMs } = start();
const clock = hostClock(clockLeadMs);
const mirror = new MirrorWriter(page);
const bell = new Bell(bellPort, signals, SIGNAL.engine, SIGNAL.embedder);
const inbox = new Inbox<Downward>({ ring: downward, messages }, () => bell.ring());
const outbox = new Outbox({ ring: upward, messages }, { wake: () => bell.ring(), onDrop: () => dropped++ });
let dropped = 0;
/** The mirror is to be written before what was sent is shown. */
let mirrorDue = true;
let mirroredAt = clock.now();
let mirrorTimer: NodeJS.Timeout | undefined;

let opened: InlineEngine | undefined;
try {
  const host = { clock, onTurn: () => opened && flush(opened) };
  const engine = await InlineEngine.open(description, host);
  opened = engine;
  engine.onEvent = send;
  engine.onTunnelEvent = (event) => send({ kind: 'tunnel', event });
  bellPort.on('message', () => {
    bell.hush();
    inbox.drain((message) => handle(engine, message));
    outbox.retry();
  });
  flush(engine);
  tell({ kind: 'opened' });
} catch (error) {
  wipe();
  tell({ kind: 'refused', error: plain(error) });
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

function send(message: Upward): void {
  if (message.kind !== 'tcp-data' && message.kind !== 'tcp-write-credit') mirrorDue = true;
  outbox.send(message);
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
