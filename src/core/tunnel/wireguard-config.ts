/**
 * The `.conf` of wg(8) and wg-quick(8) as VPN providers hand it out: text to a validated value, once. Every key of both tools
 * is known; those that change the host (PostUp and its kin, Table, FwMark, SaveConfig) are never acted on, with a warning each.
 * The grammar is in `config/lines.ts`, values in `config/values.ts` and `config/key-text.ts`.
 */

import { checkEndpoints, checkKeys } from './config/checks.ts';
import { fault, type Place } from './config/fault.ts';
import { foreignText } from './config/foreign.ts';
import { ignored, type Key, readLines, type Section } from './config/lines.ts';
import type { ConfigWarning, WireGuardConfig } from './config/model.ts';
import {
  optional,
  readAddresses,
  readMtu,
  readNames,
  readPeer,
  readPrivateKey,
  whenPresent,
} from './config/sections.ts';
import { readInteger } from './config/values.ts';

export { formatWireGuardConfig } from './config/format.ts';
export type { ConfigWarning, WireGuardConfig, WireGuardPeerConfig } from './config/model.ts';
export type { EndpointText, InterfaceAddress } from './config/values.ts';

export interface ParseOptions {
  /** The file's name, for messages. */
  readonly file?: string;
  /** X25519 of a private key. With it, a file whose server key is this end's own public key is recognised. */
  readonly derivePublicKey?: (privateKey: Uint8Array) => Uint8Array;
}

/**
 * Parses a whole `.conf`. Throws `SluiceError` with an `ERR_CONFIG_…` code whose message names file and line, what was found and
 * what was expected, and never contains a key.
 */
export function parseWireGuardConfig(text: string, options: ParseOptions = {}): WireGuardConfig {
  if (typeof text !== 'string') throw new TypeError(`"text" expected a string, got ${typeof text}`);
  const { file } = options;
  const foreign = foreignText(text, file);
  if (foreign) throw foreign;
  const { comments, sections } = readLines(text, file);
  const own = sections.find((section) => section.name === 'Interface');
  if (!own) throw missingSection('Interface', { file, line: 1 });
  const peerSections = sections.filter((section) => section.name === 'Peer');
  if (peerSections.length === 0) throw missingSection('Peer', own.place);
  const warnings: ConfigWarning[] = [];
  const privateKey = readPrivateKey(own, warnings);
  const addresses = readAddresses(own);
  const peers = peerSections.map((section) => readPeer(section, warnings));
  checkKeys(privateKey, peers, peerSections, options.derivePublicKey);
  checkEndpoints(peers, peerSections, warnings);
  for (const { key, place } of ignored(own)) warnings.push({ line: place.line, message: ignoredMessage(key) });
  return {
    privateKey,
    addresses,
    ...readNames(own, warnings),
    ...optional('mtu', readMtu(own, addresses, warnings)),
    ...optional(
      'listenPort',
      whenPresent(own, 'ListenPort', (entry) => readInteger(entry, 0, 65535)),
    ),
    peers,
    comments: [...comments, ...own.comments],
    warnings: warnings.sort((a, b) => a.line - b.line),
  };
}

function missingSection(name: Section['name'], place: Place): Error {
  const what = name === 'Interface' ? 'your key and address' : 'the server';
  return fault(
    'ERR_CONFIG_SYNTAX',
    place,
    `there is no [${name}] section, which holds ${what}; expected one.`,
    'Download the .conf from your provider again, and paste it whole.',
  );
}

function ignoredMessage(key: Key): string {
  if (key === 'Table' || key === 'FwMark') return `${key} is ignored: no route of this host is ever changed.`;
  if (key === 'SaveConfig') return 'SaveConfig is ignored: this file is never written.';
  return `${key} is ignored: commands in a configuration are never executed.`;
}
