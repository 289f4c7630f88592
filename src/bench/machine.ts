/** What the figures were measured on: without it they mean nothing. */

import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';
import { VERSION } from '../core/base/version.ts';

/** What is to be known, by its name. */
export type Machine = Readonly<Record<string, string>>;

export function describeMachine(): Machine {
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    sluice: VERSION,
    node: `${process.version} (OpenSSL ${process.versions.openssl})`,
    processor: `${availableParallelism()} × ${cpus()[0]?.model ?? 'unknown'}`,
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    system: `${type()} ${release()} ${process.arch}`,
    'load before': loadavg()
      .map((load) => load.toFixed(2))
      .join(' '),
    'net.core.rmem_max': sysctl('/proc/sys/net/core/rmem_max'),
  };
}

function sysctl(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return 'unknown';
  }
}
