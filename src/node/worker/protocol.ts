/** What the two threads say to each other outside of the lanes: at the start, and at the end. */

import type { MessagePort } from 'node:worker_threads';
import type { ErrorCode } from '../../core/base/errors.ts';
import { SluiceError } from '../../core/base/errors.ts';
import type { EngineDescription } from '../engine.ts';

/** What the worker is started with. */
export interface Start {
  readonly description: EngineDescription;
  readonly upward: SharedArrayBuffer;
  readonly downward: SharedArrayBuffer;
  readonly mirror: SharedArrayBuffer;
  /** Words: see `Bell` and `SIGNAL`. */
  readonly signals: SharedArrayBuffer;
  /** Messages of both lanes. */
  readonly messages: MessagePort;
  /** Wakes either side, unless the engine is woken through an eventfd. */
  readonly bell: MessagePort;
  /** See `leadOf`. */
  readonly clockLeadMs: number;
}

/** Words of `Start.signals`. */
export const SIGNAL = { embedder: 0, engine: 1 } as const;
export const SIGNALS_BYTES = 64;

/** From the worker, through its own port. */
export type Word =
  | {
      readonly kind: 'opened';
      /** Absent where the thread is woken through `Start.bell`: the number of the eventfd that wakes it. */
      readonly wake?: number;
      /** What is open on the thread's behalf, for whoever outlives it: see `Poller.descriptors`. */
      readonly descriptors?: Int32Array;
    }
  /** It could not be opened. */
  | { readonly kind: 'refused'; readonly error: PlainError };

/** An error as plain values: structured cloning keeps neither class nor code. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly code?: ErrorCode;
  readonly hint?: string;
}

export function plain(error: unknown): PlainError {
  if (error instanceof SluiceError)
    return { name: error.name, message: error.message, code: error.code, hint: error.hint };
  return error instanceof Error
    ? { name: error.name, message: error.message }
    : { name: 'Error', message: String(error) };
}

export function revived({ name, message, code, hint }: PlainError): Error {
  if (code) return new SluiceError(code, message, hint === undefined ? {} : { hint });
  return name === 'RangeError' ? new RangeError(message) : new Error(message);
}
