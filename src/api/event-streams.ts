/**
 * Server-sent events (HTML §9.2): every event of the tunnel to every reader. A reader that does not keep up is cut off, since its
 * events would pile up here; it comes back by itself and tells the last one it has seen.
 */

import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { TunnelEvents } from '../node/tunnel-options.ts';
import { ApiError } from './errors.ts';
import { EventLog } from './event-log.ts';
import { type ApiSource, EVENT_NAMES } from './source.ts';

const HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  // Proxies must neither keep nor compress what is to arrive at once; nginx buffers unless it is told not to.
  'Cache-Control': 'no-store, no-transform',
  'X-Accel-Buffering': 'no',
  'X-Content-Type-Options': 'nosniff',
};

/** Below the 15 s that are promised, and below the idle limit of every proxy. */
const HEARTBEAT_MS = 10_000;
const RECONNECT_AFTER_MS = 2_000;
export const MAX_STREAMS = 32;
/** More than a whole replay. */
const MAX_QUEUED_LENGTH = 512 * 1024;

export class EventStreams {
  readonly #source: ApiSource;
  readonly #log = new EventLog(randomBytes(4).toString('hex'));
  readonly #readers = new Set<ServerResponse>();
  readonly #listeners: [keyof TunnelEvents, (payload?: object) => void][];
  readonly #heartbeat: NodeJS.Timeout;

  constructor(source: ApiSource) {
    this.#source = source;
    this.#listeners = EVENT_NAMES.map((name) => [name, (payload = {}) => this.#broadcast(name, payload)]);
    for (const [name, listener] of this.#listeners) source.on(name, listener);
    this.#heartbeat = setInterval(() => {
      for (const reader of this.#readers) send(reader, ': alive\n\n');
    }, HEARTBEAT_MS);
    this.#heartbeat.unref();
  }

  get readers(): number {
    return this.#readers.size;
  }

  /**
   * Answers with the stream, from the event after `lastEventId` on if that is given. Ends when the reader goes. Throws ApiError, with the
   * response untouched, if there are too many readers already.
   */
  open(response: ServerResponse, lastEventId: string | undefined): void {
    if (this.#readers.size >= MAX_STREAMS)
      throw new ApiError('ERR_API_BUSY', `${MAX_STREAMS} readers follow the events already.`);
    response.writeHead(200, HEADERS);
    this.#readers.add(response);
    response.on('close', () => this.#readers.delete(response));
    send(response, `retry: ${RECONNECT_AFTER_MS}\n\n`);
    if (lastEventId === undefined) return;
    const { gap, events } = this.#log.after(lastEventId);
    if (gap) send(response, 'event: gap\ndata: {}\n\n');
    for (const { text } of events) send(response, text);
  }

  close(): void {
    clearInterval(this.#heartbeat);
    for (const [name, listener] of this.#listeners) this.#source.off(name, listener);
    for (const reader of this.#readers) reader.end();
  }

  #broadcast(name: keyof TunnelEvents, payload: object): void {
    const { text } = this.#log.append(name, { time: new Date().toISOString(), ...payload });
    for (const reader of this.#readers) send(reader, text);
  }
}

/** What Node holds for the reader is its queue. */
function send(reader: ServerResponse, text: string): void {
  if (reader.writableLength + text.length > MAX_QUEUED_LENGTH) reader.destroy();
  else reader.write(text);
}
