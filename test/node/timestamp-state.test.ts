import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { toHex, u32be } from '../../src/core/base/bytes.ts';
import { openTimestampState } from '../../src/node/timestamp-state.ts';

const KEY = new Uint8Array(32).fill(3);
const NOW = Date.UTC(2026, 10, 20, 12);
const DAY = 86_400_000;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-timestamp-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const file = (): string => join(folder, readdirSync(folder).find((name) => !name.endsWith('.tmp'))!);
const boundSeconds = (): number => Number.parseInt(readFileSync(file(), 'utf8').slice(9, 17), 16) - 10;
const seconds = (stamp: Uint8Array): number => u32be(stamp, 4) - 10;
const hex = (stamp: Uint8Array | undefined): string => toHex(stamp!);

describe('handshake timestamps', () => {
  it('are BE64(2^62 + 10 + Unix seconds) and BE32(ns) rounded down to 2^24 ns (whitepaper §5.1)', async () => {
    const state = await openTimestampState(KEY, undefined, () => NOW + 999);
    const stamp = state.next()!;
    expect(stamp).toHaveLength(12);
    expect(u32be(stamp, 0)).toBe(0x40000000);
    expect(seconds(stamp)).toBe(NOW / 1000);
    expect(u32be(stamp, 8)).toBe(59 * 2 ** 24);
    expect(u32be(stamp, 8)).toBeLessThanOrEqual(999_000_000);
  });

  it('increase strictly within one step of 16.8 ms and across the second', async () => {
    const state = await openTimestampState(KEY, undefined, () => NOW + 900);
    let last = hex(state.next());
    for (let i = 0; i < 200; i++) {
      const next = state.next()!;
      expect(hex(next) > last).toBe(true);
      expect(u32be(next, 8)).toBeLessThan(1e9);
      last = hex(next);
    }
  });

  it('increase strictly when the clock steps back, and follow it again later', async () => {
    let wall = NOW;
    const state = await openTimestampState(KEY, undefined, () => wall);
    const first = hex(state.next());
    wall = NOW - 400 * DAY;
    const second = state.next()!;
    expect(hex(second) > first).toBe(true);
    expect(seconds(second)).toBe(NOW / 1000);
    wall = NOW + 60_000;
    expect(seconds(state.next()!)).toBe(NOW / 1000 + 60);
  });

  it.each([0, 1_000])('go on from the last one on a host that boots in 1970 (wall clock %i ms)', async (wall) => {
    const before = await openTimestampState(KEY, folder, () => NOW);
    const last = hex(before.next());
    await before.close();
    const state = await openTimestampState(KEY, folder, () => wall);
    const next = state.next()!;
    expect(hex(next) > last).toBe(true);
    expect(seconds(next)).toBe(NOW / 1000);
    expect(state.problem).toBeUndefined();
  });

  it('are refused on a clock before this release if none is remembered, until the clock is set', async () => {
    let wall = 1_000;
    const state = await openTimestampState(KEY, folder, () => wall);
    expect(state.next()).toBeUndefined();
    expect(state.problem).toMatchObject({ code: 'ERR_CLOCK', message: expect.stringContaining('1970-01-01') });
    expect(readdirSync(folder)).toEqual([]);
    wall = NOW;
    expect(state.next()).toBeDefined();
    expect(state.problem).toBeUndefined();
  });

  it('are refused on a clock that would poison the key: years after the last one, or after the release (CVE-2021-46873)', async () => {
    let wall = NOW;
    const state = await openTimestampState(KEY, folder, () => wall);
    state.next();
    const stored = readFileSync(file(), 'utf8');
    wall = NOW + 740 * DAY;
    expect(state.next()).toBeUndefined();
    expect(state.problem).toMatchObject({ code: 'ERR_CLOCK', hint: expect.stringContaining('delete') });
    wall = Date.UTC(2099, 0);
    expect(state.next()).toBeUndefined();
    expect(readFileSync(file(), 'utf8')).toBe(stored);
    wall = NOW + 700 * DAY;
    expect(state.next()).toBeDefined();
    const fresh = await openTimestampState(KEY, undefined, () => Date.UTC(2099, 0));
    expect(fresh.next()).toBeUndefined();
  });

  it('are kept in a file of mode 0600 that is named by a hash of the public key', async () => {
    const state = await openTimestampState(KEY, join(folder, 'new', 'state'), () => NOW);
    state.next();
    const names = readdirSync(join(folder, 'new', 'state'));
    expect(names).toEqual([expect.stringMatching(/^timestamp-[0-9a-f]{32}$/)]);
    expect(names[0]).not.toContain(toHex(KEY).slice(0, 8));
    const path = join(folder, 'new', 'state', names[0]!);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'new', 'state')).mode & 0o777).toBe(0o700);
    expect(readFileSync(path, 'utf8')).toMatch(/^@[0-9a-f]{24}\n$/);
  });

  it('never exceed the bound on disk, so that a crash loses nothing', async () => {
    let wall = NOW;
    const state = await openTimestampState(KEY, folder, () => wall);
    for (let i = 0; i < 50; i++) {
      wall += i % 7 === 0 ? 400_000 : 5_000;
      const stamp = hex(state.next());
      expect(readFileSync(file(), 'utf8').slice(1, 25) >= stamp, `handshake ${i}`).toBe(true);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await state.close();
  });

  it('write ahead: handshakes every two minutes do not wait for the disk', async () => {
    let wall = NOW;
    const state = await openTimestampState(KEY, folder, () => wall);
    state.next();
    for (let i = 0; i < 12; i++) {
      const before = readFileSync(file(), 'utf8');
      wall += 120_000;
      state.next();
      // A write by the call itself would be visible at once; the write ahead is still under way.
      expect(readFileSync(file(), 'utf8'), `handshake ${i}`).toBe(before);
      await vi.waitFor(() => expect(boundSeconds() - wall / 1000).toBeGreaterThanOrEqual(150), 10_000);
    }
    await state.close();
  });

  it('after a crash are greater than every one before it', async () => {
    const crashed = await openTimestampState(KEY, folder, () => NOW);
    let last = '';
    for (let i = 0; i < 100; i++) last = hex(crashed.next());
    const state = await openTimestampState(KEY, folder, () => NOW - DAY);
    expect(hex(state.next()) > last).toBe(true);
  });

  it('after a clean close follow the wall clock at once', async () => {
    const closed = await openTimestampState(KEY, folder, () => NOW);
    closed.next();
    await closed.close();
    const state = await openTimestampState(KEY, folder, () => NOW + 1_000);
    expect(seconds(state.next()!)).toBe(NOW / 1000 + 1);
  });

  it('of two identities do not touch each other', async () => {
    const [a, b] = await Promise.all(
      [3, 4].map((n) => openTimestampState(new Uint8Array(32).fill(n), folder, () => NOW)),
    );
    expect(a!.next()).toEqual(b!.next());
    expect(readdirSync(folder)).toHaveLength(2);
  });

  it.each([
    ['', 'empty'],
    ['@40000000', 'truncated'],
    ['@40000000ffffffff00000000\n', 'from a poisoned clock'],
    [`@40000000${'68000000'}00000001\n`, 'not a multiple of the step'],
  ])('take a damaged file for none: %j (%s)', async (text) => {
    const state = await openTimestampState(KEY, folder, () => NOW);
    state.next();
    writeFileSync(file(), text);
    const next = await openTimestampState(KEY, folder, () => NOW + 5_000);
    expect(seconds(next.next()!)).toBe(NOW / 1000 + 5);
  });

  it('fail at opening if the folder cannot be written (ERR_STATE_DIR)', async () => {
    const occupied = join(folder, 'occupied');
    writeFileSync(occupied, '');
    await expect(openTimestampState(KEY, occupied)).rejects.toMatchObject({ code: 'ERR_STATE_DIR' });
  });

  it('go on in memory if the folder disappears later, and say so', async () => {
    const inner = join(folder, 'inner');
    const state = await openTimestampState(KEY, inner, () => NOW);
    rmSync(inner, { recursive: true });
    const first = hex(state.next());
    expect(state.problem).toMatchObject({ code: 'ERR_STATE_DIR' });
    expect(hex(state.next()) > first).toBe(true);
  });

  it('leave no temporary files behind', async () => {
    let wall = NOW;
    const state = await openTimestampState(KEY, folder, () => wall);
    for (let i = 0; i < 10; i++) {
      wall += 170_000;
      state.next();
    }
    await state.close();
    expect(readdirSync(folder)).toHaveLength(1);
  });
});
