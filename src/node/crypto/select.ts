/** Which crypto backend runs: the fastest of those that are installed and pass the self-test (docs/decisions/0004-crypto-backends.md). */

import type { Crypto } from '../../core/base/crypto.ts';
import { SluiceError } from '../../core/base/errors.ts';
import { nobleCrypto } from './noble.ts';
import { nodeCrypto } from './node.ts';
import { selfTest } from './self-test.ts';
import { loadWasm } from './wasm.ts';

/** Fastest first, as measured (docs/benchmarks.md). */
export const CRYPTO_NAMES = ['wasm', 'node', 'noble'] as const;
export type CryptoName = (typeof CRYPTO_NAMES)[number];

export interface SelectCryptoOptions {
  /** Takes this backend or fails; no other is tried. The environment variable SLUICE_CRYPTO does the same. */
  readonly prefer?: CryptoName;
  /** Called for each faster backend that was passed over. An absent one is no fault: not every host has WebAssembly. */
  readonly onSkipped?: (skipped: SkippedCrypto) => void;
}

export interface SkippedCrypto {
  readonly name: CryptoName;
  readonly reason: 'absent' | 'self-test-failed';
  /** What went wrong, for the log. */
  readonly message: string;
}

type Loaders = Readonly<Record<CryptoName, () => Crypto | Promise<Crypto>>>;

const LOADERS: Loaders = { wasm: loadWasm, node: () => nodeCrypto, noble: () => nobleCrypto };

/**
 * The backend to use. Throws RangeError for an unknown `prefer`, `ERR_CONFIG_VALUE` for an unknown SLUICE_CRYPTO, and
 * `ERR_CRYPTO_SELF_TEST` if the backend that was asked for, or every one of them, is absent or fails.
 */
export async function selectCrypto(options: SelectCryptoOptions = {}): Promise<Crypto> {
  return selectFrom(LOADERS, options, process.env['SLUICE_CRYPTO']);
}

/** As `selectCrypto` with other loaders and environment: for tests. */
export async function selectFrom(
  loaders: Loaders,
  { prefer, onSkipped }: SelectCryptoOptions,
  environment?: string,
): Promise<Crypto> {
  const problems: string[] = [];
  for (const name of candidates(prefer, environment)) {
    const result = await examine(name, loaders);
    if ('crypto' in result) return result.crypto;
    problems.push(`${name}: ${result.message}`);
    onSkipped?.(result);
  }
  throw new SluiceError('ERR_CRYPTO_SELF_TEST', `No usable cryptography: ${problems.join('; ')}.`);
}

function candidates(prefer: CryptoName | undefined, environment: string | undefined): readonly CryptoName[] {
  const isName = (name: string): name is CryptoName => CRYPTO_NAMES.some((known) => known === name);
  if (prefer !== undefined) {
    if (!isName(prefer)) throw new RangeError(`"prefer" expected ${CRYPTO_NAMES.join(', ')}, got ${String(prefer)}`);
    return [prefer];
  }
  if (environment === undefined || environment === '') return CRYPTO_NAMES;
  if (isName(environment)) return [environment];
  const message = `SLUICE_CRYPTO expected one of ${CRYPTO_NAMES.join(', ')}, got ${JSON.stringify(environment)}.`;
  throw new SluiceError('ERR_CONFIG_VALUE', message);
}

async function examine(name: CryptoName, loaders: Loaders): Promise<SkippedCrypto | { readonly crypto: Crypto }> {
  let crypto: Crypto;
  try {
    crypto = await loaders[name]();
  } catch (error) {
    return { name, reason: 'absent', message: firstLine(error) };
  }
  const problem = selfTest(crypto);
  return problem === undefined ? { crypto } : { name, reason: 'self-test-failed', message: problem };
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!;
}
