/** The fast UDP ports, if this machine can have them; if not, that is said loudly and their tests are not run. */

import type { Libc } from '../../src/node/udp/ffi.ts';
import { examine } from '../../src/node/udp/select.ts';

export const libc: Libc | undefined = load();

function load(): Libc | undefined {
  const result = examine();
  if ('libc' in result) return result.libc;
  if (result.reason === 'self-test-failed') throw new Error(result.message);
  console.warn(`SKIPPED: fast UDP ports: ${result.message}`);
  return undefined;
}

type Call = { [Name in keyof Libc]: Libc[Name] extends (...values: never[]) => number ? Name : never }[keyof Libc];

/** The number of the error that a call ends with, for all of its calls or by their number; 0: it does what it does. */
export type Failures = { readonly [Name in Call]?: number | ((call: number) => number) };

/** A C library whose calls fail as told. */
export function failing(real: Libc, failures: Failures): Libc {
  let errno: number | undefined;
  const wrap = (name: Call, failure: number | ((call: number) => number)): unknown => {
    let calls = 0;
    return (...values: never[]) => {
      errno = typeof failure === 'number' ? failure : failure(calls++);
      if (errno !== 0) return -1;
      errno = undefined;
      return (real[name] as (...values: never[]) => number)(...values);
    };
  };
  const wrapped = Object.entries(failures).map(([name, failure]) => [name, wrap(name as Call, failure)]);
  return { ...real, ...Object.fromEntries(wrapped), errno: () => errno ?? real.errno() };
}
