/** One download's progress as one line: facts in, text out. */

import { formatBytes, formatPercent, formatSeconds, formatSpeed } from './units.ts';

export interface Progress {
  readonly downloadedBytes: number;
  /** 0 while unknown. */
  readonly totalBytes: number;
  readonly bytesPerSecond: number;
  readonly peers: number;
  /** `null` before the first handshake. */
  readonly handshakeAgeSeconds: number | null;
}

export interface BarStyle {
  readonly columns: number;
  /** Block characters; else ASCII. */
  readonly unicode: boolean;
}

/** Seconds until done at the present speed; `null` if nothing moves or nothing is known. */
export function etaSeconds({ downloadedBytes, totalBytes, bytesPerSecond }: Progress): number | null {
  if (totalBytes === 0 || bytesPerSecond < 1) return null;
  return Math.ceil((totalBytes - downloadedBytes) / bytesPerSecond);
}

/** The line for a log: no bar, everything in words. */
export function progressLine(progress: Progress): string {
  const { downloadedBytes, totalBytes } = progress;
  const size = `${formatBytes(downloadedBytes)} of ${formatBytes(totalBytes)}`;
  return [formatPercent(ratioOf(progress)), ...(totalBytes > 0 ? [size] : []), ...facts(progress)].join('  ');
}

/** The line for a terminal, at most `columns - 1` wide; what matters least gives way first. */
export function progressBar(progress: Progress, { columns, unicode }: BarStyle): string {
  const width = columns - 1;
  const percent = formatPercent(ratioOf(progress)).padStart(7);
  const kept = facts(progress);
  while (kept.length > 0 && MIN_BAR + 2 + [percent, ...kept].join('  ').length + 2 > width) kept.pop();
  const text = [percent, ...kept].join('  ');
  const room = Math.min(MAX_BAR, width - text.length - 4);
  return room < MIN_BAR ? text.slice(0, width) : `[${bar(ratioOf(progress), room, unicode)}]${text}`;
}

const MIN_BAR = 8;
const MAX_BAR = 32;

function facts(progress: Progress): string[] {
  const { bytesPerSecond, peers, handshakeAgeSeconds } = progress;
  const eta = etaSeconds(progress);
  return [
    formatSpeed(bytesPerSecond),
    `${peers} ${peers === 1 ? 'peer' : 'peers'}`,
    `ETA ${eta === null ? '-' : formatSeconds(eta)}`,
    `handshake ${handshakeAgeSeconds === null ? '-' : `${formatSeconds(handshakeAgeSeconds)} ago`}`,
  ];
}

function ratioOf({ downloadedBytes, totalBytes }: Progress): number {
  return totalBytes === 0 ? 0 : downloadedBytes / totalBytes;
}

/** `width` characters, filled to `ratio`. */
export function bar(ratio: number, width: number, unicode: boolean): string {
  const filled = Math.floor(Math.min(1, Math.max(0, ratio)) * width);
  return (unicode ? '█' : '#').repeat(filled) + (unicode ? '░' : '-').repeat(width - filled);
}
