/** One life of an engine on a worker, as its embedder sees it: from the start of the thread to its end, in order or not. */

import { closeSync, writeSync } from 'node:fs';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { SluiceError } from '../../core/base/errors.ts';
import type { SocketId } from '../../core/netstack/messages.ts';
import { leadOf, systemClock } from '../clock.ts';
import type { EngineDescription, Mirror } from '../engine.ts';
import { Bell } from './bell.ts';
import type { Downward, Upward } from './codec.ts';
import { Inbox, Outbox } from './lane.ts';
import { createMirrorPage, MirrorReader } from './mirror-page.ts';
import { revived, SIGNAL, SIGNALS_BYTES, type Start, type Word } from './protocol.ts';
import { createRing } from './ring.ts';

export interface ThreadHandlers {
  readonly onMessage: (message: Upward) => void;
  /** See `EnginePort.lend`. */
  readonly isLent: (socket: SocketId) => boolean;
  /** Not after `close`. Everything that the engine has told was handed over. */
  readonly onCrash: (error: Error) => void;
}

/** At 2.5 Gbit/s, 13 ms of what the embedder has not looked at. */
const UPWARD_BYTES = 4 << 20;
const DOWNWARD_BYTES = 2 << 20;
/** The ports are closed and the timestamps are written in less, unless the thread hangs. */
const CLOSE_LIMIT_MS = 3_000;

export class EngineThread {
  /** Datagrams that found no room. */
  dropped = 0;
  readonly #worker: Worker;
  readonly #handlers: ThreadHandlers;
  readonly #mirror: MirrorReader;
  readonly #bell: Bell;
  readonly #bellPort: MessagePort;
  readonly #inbox: Inbox<Upward>;
  readonly #outbox: Outbox;
  readonly #ended: Promise<void>;
  /** An eventfd of the thread, and what else is open on its behalf. */
  #wake: number | undefined;
  #descriptors: Int32Array | undefined;
  #state: 'opening' | 'open' | 'closing' | 'ended' = 'opening';

  /** Throws what `InlineEngine.open` throws, and `ERR_ENGINE` if the thread cannot be started. */
  static async open(description: EngineDescription, handlers: ThreadHandlers): Promise<EngineThread> {
    let thread: EngineThread;
    try {
      thread = new EngineThread(description, handlers);
    } catch (cause) {
      // Node's permission model, for one.
      throw startError(cause as Error);
    }
    try {
      await thread.#opened();
      return thread;
    } catch (error) {
      await thread.#worker.terminate();
      throw error;
    }
  }

  private constructor(description: EngineDescription, handlers: ThreadHandlers) {
    const messages = new MessageChannel();
    const bell = new MessageChannel();
    const start: Start = {
      description,
      upward: createRing(UPWARD_BYTES),
      downward: createRing(DOWNWARD_BYTES),
      mirror: createMirrorPage(),
      signals: new SharedArrayBuffer(SIGNALS_BYTES),
      messages: messages.port2,
      bell: bell.port2,
      clockLeadMs: leadOf(systemClock),
    };
    this.#handlers = handlers;
    this.#worker = new Worker(workerUrl(), {
      name: 'sluice-engine',
      workerData: start,
      transferList: [messages.port2, bell.port2],
    });
    this.#mirror = new MirrorReader(start.mirror);
    this.#bellPort = bell.port1;
    this.#bell = new Bell(start.signals, SIGNAL.embedder, SIGNAL.engine, () => this.#knock());
    const lane = { messages: messages.port1 };
    this.#inbox = new Inbox({ ...lane, ring: start.upward }, () => this.#bell.ring(), handlers.isLent);
    const host = { wake: () => this.#bell.ring(), onDrop: () => this.dropped++ };
    this.#outbox = new Outbox({ ...lane, ring: start.downward }, host);
    this.#bellPort.on('message', () => this.#handleBell()).unref();
    let error: Error | undefined;
    this.#worker.on('error', (thrown) => (error = thrown));
    this.#ended = new Promise((resolve) => this.#worker.on('exit', () => resolve(this.#handleExit(error))));
  }

  /** As the engine last wrote it. */
  get mirror(): Mirror {
    return this.#mirror.read()!;
  }

  send(message: Downward): void {
    if (this.#state !== 'open') return;
    this.#outbox.send(message);
    this.#outbox.flush();
  }

  /** Resolves when the thread has ended. */
  async close(): Promise<void> {
    if (this.#state === 'open') {
      this.send({ kind: 'shut-down' });
      this.#state = 'closing';
      const limit = setTimeout(() => void this.#worker.terminate(), CLOSE_LIMIT_MS);
      await this.#ended;
      clearTimeout(limit);
    }
    await this.#ended;
  }

  async #opened(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#worker.once('message', (word: Word) => {
        if (word.kind === 'refused') {
          reject(revived(word.error));
          return;
        }
        this.#wake = word.wake;
        this.#descriptors = word.descriptors;
        resolve();
      });
      this.#worker.once('error', (cause) => reject(startError(cause)));
      this.#worker.once('exit', () => reject(startError(undefined)));
    });
    this.#state = 'open';
  }

  #knock(): void {
    if (this.#wake === undefined) this.#bellPort.postMessage(0);
    else if (this.#state !== 'ended') writeSync(this.#wake, ONE);
  }

  #handleBell(): void {
    this.#bell.doze();
    let done = false;
    try {
      this.#inbox.drain(this.#handlers.onMessage);
      done = true;
    } finally {
      // A listener of the embedder has thrown: what comes behind is not its matter.
      if (!done) setImmediate(() => this.#handleBell());
    }
    this.#outbox.retry();
  }

  #handleExit(error: Error | undefined): void {
    const crashed = this.#state === 'open';
    this.#state = 'ended';
    this.#bellPort.close();
    for (const descriptor of this.#descriptors ?? []) if (descriptor >= 0) closeSync(descriptor);
    if (!crashed) return;
    try {
      this.#inbox.drain(this.#handlers.onMessage);
    } finally {
      this.#handlers.onCrash(error ?? new Error('it was ended from outside'));
    }
  }
}

/** What is added to an eventfd's count. */
const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

/** From source, Node runs the worker as it is if it can strip types; if not, the build has it. */
function workerUrl(): URL {
  if (!import.meta.url.endsWith('.ts')) return new URL('./main.js', import.meta.url);
  const { typescript } = process.features as { readonly typescript?: string | false };
  return new URL(typescript ? './main.ts' : '../../../dist/node/worker/main.js', import.meta.url);
}

function startError(cause: Error | undefined): SluiceError {
  const why = cause ? `: ${cause.message}` : '';
  return new SluiceError('ERR_ENGINE', `The engine’s thread could not be started${why}.`, {
    cause,
    hint: 'Where the library was bundled into one file, open the tunnel with engine: "inline".',
  });
}
