/**
 * Allowed IPs: which peer a network inside the tunnel belongs to (whitepaper §2, cryptokey routing). The longest prefix over all
 * peers decides, for outgoing packets by destination and for incoming ones by source.
 *
 * Each family has, for each prefix length in use, one sorted array of networks and a binary search. Tables of clients have one or
 * two lengths, so a look-up is a few comparisons; 130,000 networks cost some tens. Addresses are read where they stand in a packet.
 */

import type { IpAddress, Prefix } from '../base/address.ts';
import { u32be } from '../base/bytes.ts';

export class AllowedIps<Owner> {
  readonly #v4: PrefixTable<Owner> = new PrefixTable(1);
  readonly #v6: PrefixTable<Owner> = new PrefixTable(4);

  /** Gives a network to `owner`, and returns who had exactly it before. Host bits are ignored. */
  insert({ address, bits }: Prefix, owner: Owner): Owner | undefined {
    return this.#table(address).insert(address.bytes, bits, owner);
  }

  /** Takes every network from `owner`. */
  removeOwner(owner: Owner): void {
    this.#v4.removeOwner(owner);
    this.#v6.removeOwner(owner);
  }

  /** The owner of the longest prefix that contains the IPv4 address at `offset`. */
  findV4(bytes: Uint8Array, offset: number): Owner | undefined {
    return this.#v4.findV4(bytes, offset);
  }

  /** The owner of the IPv4 address that was found last, if it is this one, as it stands in a packet on a little-endian host. */
  latestV4(word: number): Owner | undefined {
    return this.#v4.latestV4(word);
  }

  /** As `findV4`, for IPv6. An IPv4-mapped address is an IPv6 address like any other. */
  findV6(bytes: Uint8Array, offset: number): Owner | undefined {
    return this.#v6.find(bytes, offset);
  }

  #table(address: IpAddress): PrefixTable<Owner> {
    return address.family === 4 ? this.#v4 : this.#v6;
  }
}

/** Networks of one length, as they were inserted and as a sorted array. */
interface Level<Owner> {
  readonly bits: number;
  readonly masks: Uint32Array;
  readonly owners: Map<string, Owner>;
  /** Undefined after a change, until the next look-up. */
  sorted: { readonly keys: Uint32Array; readonly owners: readonly Owner[] } | undefined;
}

const scratch = new Uint32Array(4);

class PrefixTable<Owner> {
  readonly #words: number;
  /** Longest prefix first. */
  readonly #levels: Level<Owner>[] = [];
  /** The IPv4 address found last, with its first byte lowest, and its owner, as long as no network changes: packets come in runs. */
  #latest = 0;
  #latestOwner: Owner | undefined;

  constructor(words: number) {
    this.#words = words;
  }

  insert(bytes: Uint8Array, bits: number, owner: Owner): Owner | undefined {
    const level = this.#levels.find((existing) => existing.bits === bits) ?? this.#addLevel(bits);
    const key = this.#key(level, bytes);
    const before = level.owners.get(key);
    level.owners.set(key, owner);
    level.sorted = undefined;
    this.#latestOwner = undefined;
    return before;
  }

  removeOwner(owner: Owner): void {
    this.#latestOwner = undefined;
    for (let i = this.#levels.length - 1; i >= 0; i--) {
      const level = this.#levels[i]!;
      for (const [key, held] of level.owners) if (held === owner && level.owners.delete(key)) level.sorted = undefined;
      if (level.owners.size === 0) this.#levels.splice(i, 1);
    }
  }

  latestV4(word: number): Owner | undefined {
    return word === this.#latest ? this.#latestOwner : undefined;
  }

  /** As `find`, in a table of IPv4. */
  findV4(bytes: Uint8Array, offset: number): Owner | undefined {
    const address =
      bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16) | (bytes[offset + 3]! << 24);
    if (address === this.#latest && this.#latestOwner !== undefined) return this.#latestOwner;
    this.#latest = address;
    this.#latestOwner = this.find(bytes, offset);
    return this.#latestOwner;
  }

  find(bytes: Uint8Array, offset: number): Owner | undefined {
    for (let i = 0; i < this.#levels.length; i++) {
      const level = this.#levels[i]!;
      for (let word = 0; word < this.#words; word++)
        scratch[word] = u32be(bytes, offset + 4 * word) & level.masks[word]!;
      const { keys, owners } = level.sorted ?? this.#sort(level);
      const at = this.#search(keys, owners.length);
      if (at >= 0) return owners[at];
    }
    return undefined;
  }

  /** The position of the address in `scratch`, or -1. */
  #search(keys: Uint32Array, count: number): number {
    let low = 0;
    let high = count - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      let order = 0;
      for (let word = 0; word < this.#words && order === 0; word++)
        order = scratch[word]! - keys[middle * this.#words + word]!;
      if (order === 0) return middle;
      if (order < 0) high = middle - 1;
      else low = middle + 1;
    }
    return -1;
  }

  #addLevel(bits: number): Level<Owner> {
    const masks = new Uint32Array(this.#words);
    for (let word = 0; word < this.#words; word++) {
      const ones = Math.min(32, Math.max(0, bits - 32 * word));
      masks[word] = ones === 0 ? 0 : -1 << (32 - ones);
    }
    const level: Level<Owner> = { bits, masks, owners: new Map(), sorted: undefined };
    this.#levels.push(level);
    this.#levels.sort((a, b) => b.bits - a.bits);
    return level;
  }

  /** The network's words as text of fixed width, so that the order of texts is the order of networks. */
  #key(level: Level<Owner>, bytes: Uint8Array): string {
    let key = '';
    for (let word = 0; word < this.#words; word++) {
      const value = u32be(bytes, 4 * word) & level.masks[word]!;
      key += String.fromCharCode(value >>> 16, value & 0xffff);
    }
    return key;
  }

  #sort(level: Level<Owner>): { readonly keys: Uint32Array; readonly owners: readonly Owner[] } {
    const texts = [...level.owners.keys()].sort();
    const keys = new Uint32Array(texts.length * this.#words);
    texts.forEach((text, i) => {
      for (let word = 0; word < this.#words; word++)
        keys[i * this.#words + word] = (text.charCodeAt(2 * word) << 16) | text.charCodeAt(2 * word + 1);
    });
    level.sorted = { keys, owners: texts.map((text) => level.owners.get(text)!) };
    return level.sorted;
  }
}
