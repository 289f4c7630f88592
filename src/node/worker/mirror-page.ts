/**
 * The mirror of an engine on another thread: one page of shared memory, written over again by the engine, and read only when somebody
 * asks. A version that is odd while the page is being written tells a reader that it must look again.
 */

import { deserialize, serialize } from 'node:v8';
import type { LinkFigures, Mirror } from '../engine.ts';

const PAGE_BYTES = 64 * 1024;
/** Words: the version, and how long the text is. */
const VERSION = 0;
const LENGTH = 1;
const HEADER_BYTES = 8;
/** Writing takes microseconds: after so many looks the writer is gone, in the middle of it. */
const LOOKS = 10_000;

export function createMirrorPage(): SharedArrayBuffer {
  return new SharedArrayBuffer(PAGE_BYTES);
}

export class MirrorWriter {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(page: SharedArrayBuffer) {
    this.#words = new Int32Array(page, 0, HEADER_BYTES / 4);
    this.#bytes = new Uint8Array(page, HEADER_BYTES);
  }

  /** `drops` are added to those of the mirror. */
  write(mirror: Mirror, drops: Readonly<Record<string, number>>): void {
    const { at, policy, configuration, link, sockets, lease, served, probe } = mirror;
    const counted = withDrops(link, drops);
    const text = serialize({ at, policy, configuration, link: counted, sockets, lease, served, probe });
    if (text.length > this.#bytes.length) return;
    Atomics.add(this.#words, VERSION, 1);
    this.#bytes.set(text);
    this.#words[LENGTH] = text.length;
    Atomics.add(this.#words, VERSION, 1);
  }
}

export class MirrorReader {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  #version = -1;
  #mirror: Mirror | undefined;

  constructor(page: SharedArrayBuffer) {
    this.#words = new Int32Array(page, 0, HEADER_BYTES / 4);
    this.#bytes = new Uint8Array(page, HEADER_BYTES);
  }

  /** `undefined` before the first `write`. */
  read(): Mirror | undefined {
    for (let looks = 0; looks < LOOKS; looks++) {
      const version = Atomics.load(this.#words, VERSION);
      if (version === this.#version || version === 0) break;
      if (version % 2 !== 0) continue;
      const text = Buffer.from(this.#bytes.slice(0, this.#words[LENGTH]));
      if (Atomics.load(this.#words, VERSION) !== version) continue;
      this.#version = version;
      this.#mirror = deserialize(text);
    }
    return this.#mirror;
  }
}

/** `link` with more drops. */
export function withDrops(link: LinkFigures, more: Readonly<Record<string, number>>): LinkFigures {
  const drops = { ...link.drops };
  for (const [reason, count] of Object.entries(more)) drops[reason] = (drops[reason] ?? 0) + count;
  return { ...link, drops };
}
