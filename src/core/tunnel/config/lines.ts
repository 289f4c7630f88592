/**
 * The lines of a `.conf` as `wg` and wg-quick(8) read them: sections in brackets, `Key = value`, `#` to the end of a line is a
 * comment. Names of sections and keys are told apart by letters alone: case and blanks do not count.
 */

import { nearestWord } from '../../base/spelling.ts';
import { fault, type Place, shownName, withoutKeys } from './fault.ts';

export type SectionName = 'Interface' | 'Peer';

/** The keys of each section, for the parser and the documents. `once`: a second one is an error; `many`: a list; `ignored`: for wg-quick, not for us. */
export const KEYS = {
  Interface: {
    PrivateKey: 'once',
    Address: 'many',
    DNS: 'many',
    MTU: 'once',
    ListenPort: 'once',
    Table: 'ignored',
    FwMark: 'ignored',
    SaveConfig: 'ignored',
    PreUp: 'ignored',
    PostUp: 'ignored',
    PreDown: 'ignored',
    PostDown: 'ignored',
  },
  Peer: {
    PublicKey: 'once',
    PresharedKey: 'once',
    AllowedIPs: 'many',
    Endpoint: 'once',
    PersistentKeepalive: 'once',
  },
} as const;

export type InterfaceKey = keyof (typeof KEYS)['Interface'];
export type PeerKey = keyof (typeof KEYS)['Peer'];
export type Key = InterfaceKey | PeerKey;

/** AmneziaWG is WireGuard with a changed wire format, which a WireGuard server does not understand and neither do we. */
const AMNEZIA = /^(jc|jmin|jmax|s[1-4]|h[1-4]|i[1-5]|j[1-3]|itime)$/;

export interface Entry {
  readonly key: Key;
  readonly value: string;
  readonly place: Place;
}

export interface Section {
  readonly name: SectionName;
  readonly place: Place;
  readonly entries: Entry[];
  /** Comments from the section's header to the next one, without `#`, keys removed. */
  readonly comments: string[];
}

export interface Lines {
  /** Comments before the first section. */
  readonly comments: readonly string[];
  readonly sections: readonly Section[];
}

/** Splits the text into sections of known keys. Throws `ERR_CONFIG_SYNTAX`. */
export function readLines(text: string, file: string | undefined): Lines {
  const comments: string[] = [];
  const sections: Section[] = [];
  for (const [index, raw] of text.split(/\r\n|\n|\r/).entries()) {
    const place = { file, line: index + 1 };
    const { content, comment } = splitComment(raw);
    const isHeader = content.startsWith('[');
    if (isHeader) sections.push(openSection(content, place, sections));
    const section = sections.at(-1);
    if (comment !== '') (section?.comments ?? comments).push(withoutKeys(comment));
    if (content === '' || isHeader) continue;
    if (!section)
      throw fault(
        'ERR_CONFIG_SYNTAX',
        place,
        'there is text before the first section; a WireGuard configuration begins with [Interface].',
      );
    section.entries.push(readEntry(content, section, place));
  }
  return { comments, sections };
}

/** The one value of a key that may stand once; `undefined` if it is absent. */
export function single(section: Section, key: Key): Entry | undefined {
  return section.entries.find((entry) => entry.key === key);
}

/** The comma-separated items of every line of a list key. Empty items are left out. */
export function items(section: Section, key: Key): Entry[] {
  return section.entries
    .filter((entry) => entry.key === key)
    .flatMap((entry) => entry.value.split(',').map((value) => ({ ...entry, value: value.trim() })))
    .filter((entry) => entry.value !== '');
}

/** The entries that only wg-quick would act on. */
export function ignored(section: Section): Entry[] {
  return section.entries.filter(({ key }) => kindOf(section.name, key) === 'ignored');
}

function splitComment(raw: string): { content: string; comment: string } {
  // Characters without width come along when text is copied from a web page.
  const line = raw.replace(/[\u200b-\u200d\u2060\ufeff]/g, '').trim();
  if (line.startsWith(';')) return { content: '', comment: line.slice(1).trim() };
  const hash = line.indexOf('#');
  if (hash < 0) return { content: line, comment: '' };
  return { content: line.slice(0, hash).trim(), comment: line.slice(hash + 1).trim() };
}

function openSection(content: string, place: Place, sections: readonly Section[]): Section {
  const word = letters(content.slice(1, content.endsWith(']') ? -1 : undefined));
  const name = (['Interface', 'Peer'] as const).find((known) => known.toLowerCase() === word);
  if (!content.endsWith(']'))
    throw fault(
      'ERR_CONFIG_SYNTAX',
      place,
      'this section header has no closing bracket; expected [Interface] or [Peer].',
    );
  if (!name) {
    const meant = nearestWord(word, ['Interface', 'Peer']);
    const guess = meant ? ` Did you mean [${meant}]?` : '';
    throw fault(
      'ERR_CONFIG_SYNTAX',
      place,
      `${shownName(content.slice(1, -1))} is not a section of WireGuard; expected [Interface] or [Peer].${guess}`,
    );
  }
  const earlier = name === 'Interface' && sections.find((section) => section.name === 'Interface');
  if (earlier)
    throw fault(
      'ERR_CONFIG_SYNTAX',
      place,
      `this is a second [Interface] section, the first is in line ${earlier.place.line}; expected one.`,
      'Two configurations seem to have been pasted into one file: keep one of them.',
    );
  return { name, place, entries: [], comments: [] };
}

function readEntry(content: string, section: Section, place: Place): Entry {
  const equals = content.indexOf('=');
  if (equals < 1) throw fault('ERR_CONFIG_SYNTAX', place, 'expected “Key = value” or a section in brackets.');
  const name = content.slice(0, equals).trim();
  const key = knownKey(name, section.name, place);
  const first = kindOf(section.name, key) === 'once' ? single(section, key) : undefined;
  if (first)
    throw fault(
      'ERR_CONFIG_SYNTAX',
      place,
      `${key} stands a second time in this [${section.name}] section, the first is in line ${first.place.line}; expected one.`,
      `Remove one of the two ${key} lines.`,
    );
  return { key, value: content.slice(equals + 1).trim(), place };
}

function knownKey(name: string, section: SectionName, place: Place): Key {
  const word = letters(name);
  const other = section === 'Peer' ? 'Interface' : 'Peer';
  const key = keysOf(section).find((known) => known.toLowerCase() === word);
  if (key) return key;
  const misplaced = keysOf(other).find((known) => known.toLowerCase() === word);
  if (misplaced)
    throw fault(
      'ERR_CONFIG_SYNTAX',
      place,
      `${misplaced} stands under [${section}], but belongs under [${other}].`,
      `Move the line below the [${other}] header.`,
    );
  if (AMNEZIA.test(word))
    throw fault(
      'ERR_CONFIG_SYNTAX',
      place,
      `${shownName(name)} is a key of AmneziaWG, which changes the protocol; only WireGuard itself is supported.`,
      'Download a configuration for plain WireGuard from your provider.',
    );
  const meant = nearestWord(word, [...keysOf(section), ...keysOf(other)]);
  throw fault(
    'ERR_CONFIG_SYNTAX',
    place,
    `${shownName(name)} is not a key of WireGuard.`,
    meant ? `Did you mean ${meant}?` : `Known here: ${keysOf(section).join(', ')}.`,
  );
}

function keysOf(section: SectionName): Key[] {
  return Object.keys(KEYS[section]) as Key[];
}

function kindOf(section: SectionName, key: Key): 'once' | 'many' | 'ignored' | undefined {
  return (KEYS[section] as Partial<Record<Key, 'once' | 'many' | 'ignored'>>)[key];
}

function letters(name: string): string {
  return name.replace(/\s/g, '').toLowerCase();
}
