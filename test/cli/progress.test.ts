import { describe, expect, it } from 'vitest';
import { etaSeconds, type Progress, progressBar, progressLine } from '../../src/cli/progress/bar.ts';
import { createReporter } from '../../src/cli/progress/reporter.ts';
import { formatBytes, formatPercent, formatSeconds } from '../../src/cli/progress/units.ts';
import { fakeIo } from './support.ts';

const MIB = 1024 * 1024;
const HALF: Progress = {
  downloadedBytes: 32 * MIB,
  totalBytes: 64 * MIB,
  bytesPerSecond: 4 * MIB,
  peers: 2,
  handshakeAgeSeconds: 31.4,
};
const UNKNOWN: Progress = { downloadedBytes: 0, totalBytes: 0, bytesPerSecond: 0, peers: 0, handshakeAgeSeconds: null };

describe('units', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1024 * 1023.99, '1.0 MiB'],
    [64 * MIB, '64.0 MiB'],
    [1.5 * 1024 ** 4, '1.5 TiB'],
    [-1, '0 B'],
  ])('write %d bytes as %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  it.each([
    [0, '0 s'],
    [59.4, '59 s'],
    [59.6, '1:00'],
    [3599, '59:59'],
    [3600, '1:00:00'],
    [86_400, 'over a day'],
    [Number.POSITIVE_INFINITY, 'over a day'],
  ])('write %d seconds as %s', (seconds, text) => expect(formatSeconds(seconds)).toBe(text));

  it.each([
    [0, '0.0 %'],
    [0.9999, '99.9 %'],
    [1, '100.0 %'],
    [1.2, '100.0 %'],
  ])('write the ratio %d as %s: 100 %% is all of it', (ratio, text) => expect(formatPercent(ratio)).toBe(text));
});

describe('progress', () => {
  it('tells percent, size, speed, peers, time left and the age of the handshake', () => {
    expect(progressLine(HALF)).toBe('50.0 %  32.0 MiB of 64.0 MiB  4.0 MiB/s  2 peers  ETA 8 s  handshake 31 s ago');
  });

  it('has no size and no time left before the metadata', () => {
    expect(progressLine(UNKNOWN)).toBe('0.0 %  0 B/s  0 peers  ETA -  handshake -');
    expect(etaSeconds(UNKNOWN)).toBeNull();
  });

  it('draws a bar as long as the share, in ASCII where Unicode is not spoken', () => {
    const line = progressBar(HALF, { columns: 110, unicode: true });
    expect(line).toMatch(/^\[█{16}░{16}\] 50\.0 % {2}4\.0 MiB\/s/);
    expect(progressBar(HALF, { columns: 110, unicode: false })).toContain('[################----------------]');
  });

  it('never fills the last column, however narrow the window', () => {
    for (let columns = 1; columns <= 140; columns++)
      for (const progress of [HALF, UNKNOWN])
        expect(progressBar(progress, { columns, unicode: true }).length).toBeLessThan(Math.max(2, columns));
  });

  it('keeps the percentage longest when the window narrows', () => {
    expect(progressBar(HALF, { columns: 30, unicode: true })).toContain('50.0 %');
    expect(progressBar(HALF, { columns: 60, unicode: true })).not.toContain('handshake');
  });
});

describe('the reporter', () => {
  it('redraws one line on a terminal and prints notes above it', () => {
    const { io, printed } = fakeIo({ tty: true, columns: 100 });
    const reporter = createReporter(io, { json: false, now: () => 0 });
    reporter.progress(HALF);
    reporter.progress(HALF);
    reporter.note('hello');
    reporter.result('film');
    reporter.settle();
    const bar = progressBar(HALF, { columns: 100, unicode: true });
    expect(printed().err).toBe(`\r\u001b[K${bar}\r\u001b[Khello\n${bar}\n`);
    expect(printed().out).toBe('film\n');
  });

  it('prints a line at most every five seconds elsewhere, and the last one always', () => {
    const { io, printed } = fakeIo();
    let now = 0;
    const reporter = createReporter(io, { json: false, now: () => now });
    for (now = 0; now < 10_600; now += 250) reporter.progress({ ...HALF, downloadedBytes: now });
    reporter.settle();
    expect(printed().err.trimEnd().split('\n')).toHaveLength(4);
    expect(printed().err).not.toContain('\u001b');
  });

  it('prints one JSON object per line for scripts, and nothing for people', () => {
    const { io, printed } = fakeIo({ tty: true });
    const reporter = createReporter(io, { json: true, now: () => 0 });
    reporter.note('hello');
    reporter.result('film');
    reporter.warn('beware');
    reporter.event('connected', { endpoint: '127.0.0.1:1' });
    reporter.progress(HALF);
    reporter.progress(HALF);
    reporter.settle();
    expect(printed().err).toBe('');
    expect(
      printed()
        .out.trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { event: 'warning', message: 'beware' },
      { event: 'connected', endpoint: '127.0.0.1:1' },
      { event: 'progress', ...HALF, etaSeconds: 8 },
      { event: 'progress', ...HALF, etaSeconds: 8 },
    ]);
  });
});
