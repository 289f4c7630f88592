/** The `.conf` that a command is given: found, read, parsed, its warnings shown. */

import { readFile, stat } from 'node:fs/promises';
import { SluiceError } from '../core/base/errors.ts';
import { parseWireGuardConfig, type WireGuardConfig } from '../core/tunnel/wireguard-config.ts';
import type { Io } from './io.ts';

/** Names the `.conf` when no option does. */
export const CONF_VARIABLE = 'SLUICE_WIREGUARD_CONFIG';

/** Reads the `.conf` named by an option, else by the environment. Throws `ERR_CONFIG_…`. `warn` gets the warnings. */
export async function readConfFile(
  option: string | undefined,
  env: Io['env'],
  warn: (text: string) => void,
): Promise<WireGuardConfig> {
  const file = option ?? env[CONF_VARIABLE];
  if (file === undefined || file === '')
    throw new SluiceError('ERR_CONFIG_FILE', 'No configuration was given, and without a tunnel nothing is sent.', {
      hint: `Name your provider’s file with -c FILE.conf or ${CONF_VARIABLE}; to try without a provider: sluice demo`,
    });
  const text = await read(file);
  const { nobleCrypto } = await import('../node/crypto/noble.ts');
  const config = parseWireGuardConfig(text, {
    file,
    derivePublicKey: (privateKey) => nobleCrypto.keyPair(privateKey).publicKey,
  });
  for (const { line, message } of config.warnings) warn(`${file}:${line}: ${message}`);
  if (await othersMayRead(file))
    warn(`${file} holds a key, and every user of this host may read it: chmod 600 ${file}`);
  return config;
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const what =
      { ENOENT: 'does not exist', EACCES: 'may not be read', EISDIR: 'is a folder' }[code ?? ''] ?? 'cannot be read';
    throw new SluiceError('ERR_CONFIG_FILE', `The configuration ${file} ${what}.`, { cause });
  }
}

async function othersMayRead(file: string): Promise<boolean> {
  if (process.platform === 'win32') return false;
  const { mode } = await stat(file);
  return (mode & 0o004) !== 0;
}
