/**
 * The TAI64N timestamps of handshakes (whitepaper §5.1). A server answers only a timestamp greater than every one it has seen from
 * the key, so they must increase strictly over the life of the identity, and one far in the future would lock the key out for good
 * (CVE-2021-46873). Hence the rules:
 *
 * - A timestamp is the wall clock, rounded down to 2^24 ns against timing leaks, or one step more than the last one if that is
 *   greater: a clock that stepped back, or a host that boots in 1970, goes on from where it was.
 * - Without a last one, a wall clock before this release was made is refused. So is one more than two years after the last
 *   timestamp, and one twenty years after the release. `problem` then says so, and the next attempt looks again.
 * - The state folder holds a bound that no issued timestamp exceeds. It is written ahead, by five minutes, so that a handshake
 *   seldom waits for the disk; after a crash the first timestamp is at most that far in the future. `close` writes the exact last.
 */

import { createHash, randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setU32be } from '../core/base/bytes.ts';
import { SluiceError } from '../core/base/errors.ts';

export interface TimestampState {
  /** The next timestamp, 12 bytes, or `undefined` while the wall clock is implausible: then there must be no handshake. */
  next(): Uint8Array | undefined;
  /** Why the last `next` gave nothing (`ERR_CLOCK`), or why the state folder was not written (`ERR_STATE_DIR`). */
  readonly problem: SluiceError | undefined;
  /** Writes the exact last timestamp. Nothing may be called after. */
  close(): Promise<void>;
}

/**
 * The timestamps of one identity, kept in `stateDir` under a hash of its public key; without a folder, in memory. A damaged file
 * counts as none. Throws `ERR_STATE_DIR` if the folder cannot be made or written.
 */
export async function openTimestampState(
  publicKey: Uint8Array,
  stateDir?: string,
  wallMs: () => number = Date.now,
): Promise<TimestampState> {
  if (stateDir === undefined) return new Timestamps(wallMs, undefined, undefined);
  const name = createHash('sha256').update('sluice timestamp').update(publicKey).digest('hex').slice(0, 32);
  const path = join(stateDir, `timestamp-${name}`);
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    const last = await readTick(path);
    const probe = temporaryName(path);
    await (await open(probe, 'wx', 0o600)).close();
    rmSync(probe);
    return new Timestamps(wallMs, path, last);
  } catch (cause) {
    throw new SluiceError('ERR_STATE_DIR', `The state folder ${stateDir} cannot be used.`, { cause });
  }
}

/**
 * A moment in steps of 2^24 ns: 64 times the Unix seconds, plus 0 to 59 steps. An integer in order of time, exact far beyond the
 * plausible years.
 */
type Tick = number;

const STEP_NS = 2 ** 24;
const LAST_STEP = Math.floor(999_999_999 / STEP_NS);
const AHEAD_SECONDS = 300;
const YEAR_SECONDS = 365.25 * 86_400;
const LONGEST_PAUSE_SECONDS = 2 * YEAR_SECONDS;
const RELEASED = Date.UTC(2026, 0, 1) / 1000;
const LATEST = RELEASED + 20 * YEAR_SECONDS;

class Timestamps implements TimestampState {
  problem: SluiceError | undefined;
  readonly #wallMs: () => number;
  readonly #path: string | undefined;
  #last: Tick | undefined;
  /** No timestamp above it may be issued before a greater bound is on disk. */
  #bound: Tick;
  #writing: Promise<void> | undefined;

  constructor(wallMs: () => number, path: string | undefined, last: Tick | undefined) {
    this.#wallMs = wallMs;
    this.#path = path;
    this.#last = last;
    this.#bound = last ?? 0;
  }

  next(): Uint8Array | undefined {
    const wall = tickOf(this.#wallMs());
    this.problem = implausible(wall, this.#last);
    if (this.problem) return undefined;
    const tick = this.#last === undefined || wall > this.#last ? wall : stepAfter(this.#last);
    this.#last = tick;
    this.#reserve(tick);
    return encode(tick);
  }

  async close(): Promise<void> {
    await this.#writing;
    if (this.#path !== undefined && this.#last !== undefined) this.#writeNow(this.#path, this.#last);
  }

  #reserve(tick: Tick): void {
    if (this.#path === undefined) return;
    const bound = tick + 64 * AHEAD_SECONDS;
    if (tick > this.#bound) this.#writeNow(this.#path, bound);
    else if (this.#bound - tick < 32 * AHEAD_SECONDS) this.#writing ??= this.#writeAhead(this.#path, bound);
  }

  /** A folder that has become read-only must not take the tunnel down: the timestamps go on in memory, and `problem` tells. */
  #writeNow(path: string, bound: Tick): void {
    const temporary = temporaryName(path);
    try {
      const file = openSync(temporary, 'wx', 0o600);
      try {
        writeSync(file, label(bound));
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(temporary, path);
      this.#bound = bound;
    } catch (cause) {
      this.#failed(path, temporary, cause);
    }
  }

  async #writeAhead(path: string, bound: Tick): Promise<void> {
    const temporary = temporaryName(path);
    try {
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(label(bound));
        await file.sync();
      } finally {
        await file.close();
      }
      // A greater bound may have been written meanwhile, and it must stay.
      if (bound > this.#bound) renameSync(temporary, path);
      else rmSync(temporary);
      this.#bound = Math.max(this.#bound, bound);
    } catch (cause) {
      this.#failed(path, temporary, cause);
    } finally {
      this.#writing = undefined;
    }
  }

  #failed(path: string, temporary: string, cause: unknown): void {
    try {
      rmSync(temporary, { force: true });
    } catch {
      // The folder is gone or read-only; the error reported below says so.
    }
    this.problem = new SluiceError('ERR_STATE_DIR', `The last handshake timestamp could not be written to ${path}.`, {
      cause,
    });
  }
}

function implausible(wall: Tick, last: Tick | undefined): SluiceError | undefined {
  const seconds = Math.floor(wall / 64);
  const date = new Date(seconds * 1000).toISOString().slice(0, 10);
  if (last === undefined && seconds < RELEASED)
    return new SluiceError('ERR_CLOCK', `This host’s clock says ${date}, a date before this release was made.`);
  if (seconds > LATEST) return new SluiceError('ERR_CLOCK', `This host’s clock says ${date}, which cannot be right.`);
  if (last === undefined || seconds <= last / 64 + LONGEST_PAUSE_SECONDS) return undefined;
  const before = new Date((last / 64) * 1000).toISOString().slice(0, 10);
  return new SluiceError('ERR_CLOCK', `This host’s clock says ${date}, years after the last handshake of ${before}.`, {
    hint: 'Set this host’s date and time; if they are right, delete the timestamp file in the state folder.',
  });
}

function tickOf(unixMs: number): Tick {
  const seconds = Math.floor(unixMs / 1000);
  return seconds * 64 + Math.floor(((unixMs - seconds * 1000) * 1e6) / STEP_NS);
}

function stepAfter(tick: Tick): Tick {
  return tick % 64 === LAST_STEP ? tick - LAST_STEP + 64 : tick + 1;
}

/** BE64(2^62 + 10 + Unix seconds) ‖ BE32(nanoseconds). */
function encode(tick: Tick): Uint8Array {
  const seconds = Math.floor(tick / 64) + 10;
  const bytes = new Uint8Array(12);
  setU32be(bytes, 0, 0x4000_0000 + Math.floor(seconds / 2 ** 32));
  setU32be(bytes, 4, seconds % 2 ** 32);
  setU32be(bytes, 8, (tick % 64) * STEP_NS);
  return bytes;
}

/** The external form of TAI64N, as other tools print it: `@` and 24 hex digits. */
function label(tick: Tick): string {
  return `@${Buffer.from(encode(tick)).toString('hex')}\n`;
}

async function readTick(path: string): Promise<Tick | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const digits = /^@40000000([0-9a-f]{8})([0-9a-f]{8})\n$/.exec(text);
  if (!digits) return undefined;
  const seconds = Number.parseInt(digits[1]!, 16) - 10;
  const steps = Number.parseInt(digits[2]!, 16) / STEP_NS;
  const valid = Number.isInteger(steps) && steps <= LAST_STEP && seconds <= LATEST + AHEAD_SECONDS;
  return valid ? seconds * 64 + steps : undefined;
}

function temporaryName(path: string): string {
  return `${path}.${randomBytes(6).toString('hex')}.tmp`;
}
