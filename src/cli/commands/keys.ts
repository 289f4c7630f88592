/** `sluice genkey`, `pubkey` and `genpsk`: the same keys, in the same form, as those of wg(8). */

import { toBase64 } from '../../core/base/bytes.ts';
import { KEY_LENGTH } from '../../core/base/crypto.ts';
import { randomBytes } from '../../core/base/random.ts';
import { readKey } from '../../core/tunnel/config/key-text.ts';
import type { Command } from '../command.ts';
import { EXIT } from '../exit-code.ts';

export const genkey: Command = {
  name: 'genkey',
  summary: 'Make a private key.',
  operands: [],
  options: {},
  details: ['Prints a new private key. It is a secret: whoever has it is you.'],
  examples: [
    { command: '(umask 077; sluice genkey > private.key)', what: 'Into a file that nobody else can read' },
    { command: 'sluice genkey | tee private.key | sluice pubkey', what: 'A key pair, the public key shown' },
  ],
  exitCodes: [],
  async run(_, io) {
    const { systemRandom } = await import('../../node/random.ts');
    const key = randomBytes(systemRandom, KEY_LENGTH);
    // RFC 7748 §5; wg(8) prints keys clamped, so a key can be told from a public one.
    key[0]! &= 248;
    key[31] = (key[31]! & 127) | 64;
    io.out.write(`${toBase64(key)}\n`);
    return EXIT.done;
  },
};

export const genpsk: Command = {
  name: 'genpsk',
  summary: 'Make a preshared key.',
  operands: [],
  options: {},
  details: ['Prints a new preshared key, which both ends of a tunnel may have in addition to their own keys.'],
  examples: [{ command: 'sluice genpsk', what: 'A preshared key for both ends' }],
  exitCodes: [],
  async run(_, io) {
    const { systemRandom } = await import('../../node/random.ts');
    io.out.write(`${toBase64(randomBytes(systemRandom, KEY_LENGTH))}\n`);
    return EXIT.done;
  },
};

export const pubkey: Command = {
  name: 'pubkey',
  summary: 'Show the public key of a private key.',
  operands: [],
  options: {},
  details: ['Reads a private key from standard input and prints its public key.'],
  examples: [{ command: 'sluice pubkey < private.key', what: 'The public key of a stored private key' }],
  exitCodes: [EXIT.badConfiguration],
  async run(_, io) {
    const { nobleCrypto } = await import('../../node/crypto/noble.ts');
    if (io.stdinIsTTY) io.err.write('Paste the private key, then press Enter and Ctrl-D.\n');
    const value = (await io.readStdin()).trim();
    const privateKey = readKey({ key: 'PrivateKey', value, place: { file: 'standard input', line: 1 } });
    io.out.write(`${toBase64(nobleCrypto.keyPair(privateKey).publicKey)}\n`);
    return EXIT.done;
  },
};
