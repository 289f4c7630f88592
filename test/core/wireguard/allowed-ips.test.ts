import { describe, expect, it } from 'vitest';
import { ip, type Prefix, prefix } from '../../../src/core/base/address.ts';
import { AllowedIps } from '../../../src/core/wireguard/allowed-ips.ts';
import { deep } from '../../support/deep.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { net } from '../../support/wireguard-ends.ts';

const find = <T>(table: AllowedIps<T>, address: string): T | undefined => {
  const { family, bytes } = ip(address);
  return family === 4 ? table.findV4(bytes, 0) : table.findV6(bytes, 0);
};

function table(entries: Record<string, string>): AllowedIps<string> {
  const result = new AllowedIps<string>();
  for (const [network, owner] of Object.entries(entries)) result.insert(net(network), owner);
  return result;
}

describe('allowed IPs', () => {
  it('H7: find the longest prefix, whichever was inserted first (W§2)', () => {
    const allowed = table({ '0.0.0.0/0': 'all', '10.0.0.0/8': 'ten', '10.1.0.0/16': 'one', '10.1.1.1/32': 'host' });
    expect(['1.2.3.4', '10.9.9.9', '10.1.2.3', '10.1.1.1', '10.1.1.0'].map((a) => find(allowed, a))).toEqual([
      'all',
      'ten',
      'one',
      'host',
      'one',
    ]);
    expect(find(allowed, '::1')).toBeUndefined();
  });

  it('H7: follow every change, for an address too that was just looked up (W§2)', () => {
    const allowed = table({ '0.0.0.0/0': 'all' });
    expect(find(allowed, '10.1.1.1')).toBe('all');
    allowed.insert(net('10.0.0.0/8'), 'ten');
    expect(find(allowed, '10.1.1.1')).toBe('ten');
    allowed.insert(net('10.0.0.0/8'), 'other');
    expect(find(allowed, '10.1.1.1')).toBe('other');
    allowed.removeOwner('other');
    expect(find(allowed, '10.1.1.1')).toBe('all');
    allowed.removeOwner('all');
    expect(find(allowed, '10.1.1.1')).toBeUndefined();
  });

  it('H7: read the address where it stands in a packet, IPv4 and IPv6 (W§2)', () => {
    const allowed = table({ '192.0.2.0/24': 'four', '2001:db8::/32': 'six', '::/0': 'rest' });
    expect(allowed.findV4(Uint8Array.of(9, 9, 9, ...ip('192.0.2.200').bytes, 9), 3)).toBe('four');
    expect(allowed.findV6(Uint8Array.of(9, ...ip('2001:db8:ffff::1').bytes), 1)).toBe('six');
    expect(allowed.findV6(Uint8Array.of(9, ...ip('2001:db9::').bytes), 1)).toBe('rest');
  });

  it('H8: clear host bits, give the same network to whoever came last, and keep IPv4-mapped IPv6 apart (W§2)', () => {
    const allowed = new AllowedIps<string>();
    expect(allowed.insert({ address: ip('10.1.2.3'), bits: 8 }, 'first')).toBeUndefined();
    expect(allowed.insert(net('10.0.0.0/8'), 'second')).toBe('first');
    expect(find(allowed, '10.200.0.1')).toBe('second');
    expect(find(allowed, '::ffff:10.1.2.3')).toBeUndefined();
    allowed.insert(net('::ffff:10.0.0.0/104'), 'mapped');
    expect(find(allowed, '::ffff:10.1.2.3')).toBe('mapped');
    expect(find(allowed, '10.1.2.3')).toBe('second');
  });

  it('H8: forget an owner whole (W§2)', () => {
    const allowed = table({ '10.0.0.0/8': 'a', '10.1.0.0/16': 'b', 'fd00::/8': 'a', '0.0.0.0/0': 'b' });
    allowed.removeOwner('a');
    expect(find(allowed, '10.2.0.1')).toBe('b');
    expect(find(allowed, 'fd00::1')).toBeUndefined();
    allowed.removeOwner('b');
    expect(find(allowed, '10.1.0.1')).toBeUndefined();
  });

  it('H7: agree with a linear search over random tables, insertions and removals (W§2)', () => {
    const random = new SeededRandom(12);
    const rounds = deep(4, 40);
    for (let round = 0; round < rounds; round++) {
      const allowed = new AllowedIps<number>();
      const linear: LinearEntry[] = [];
      for (let operation = 0; operation < 2_500; operation++) {
        const network = randomNetwork(random);
        const owner = random.below(40);
        allowed.insert(network, owner);
        const same = linear.findIndex((entry) => samePrefix(entry.network, network));
        if (same >= 0) linear.splice(same, 1);
        linear.push(new LinearEntry(network, owner));
        if (!random.chance(0.001)) continue;
        const gone = random.below(40);
        allowed.removeOwner(gone);
        for (let i = linear.length - 1; i >= 0; i--) if (linear[i]!.owner === gone) linear.splice(i, 1);
      }
      for (let query = 0; query < deep(1_000, 25_000); query++) {
        const near = linear[random.below(linear.length)]!.network.address;
        const bytes = Uint8Array.from(near.bytes);
        bytes[random.below(bytes.length)]! ^= random.below(256);
        let best: LinearEntry | undefined;
        for (const entry of linear)
          if (entry.network.bits > (best?.network.bits ?? -1) && entry.contains(bytes)) best = entry;
        const found = near.family === 4 ? allowed.findV4(bytes, 0) : allowed.findV6(bytes, 0);
        if (found !== best?.owner) throw new Error(`round ${round}: ${bytes} gave ${found}, expected ${best?.owner}`);
      }
    }
  }, 300_000);

  it('H7: hold 130,560 networks and answer at once (netns.sh)', () => {
    const allowed = new AllowedIps<number>();
    for (let i = 0; i < 65_280; i++) {
      allowed.insert({ address: { family: 4, bytes: Uint8Array.of(10, i >>> 8, i & 255, 0) }, bits: 24 }, i);
      const six = new Uint8Array(16);
      six.set([0xfd, 0, i >>> 8, i & 255]);
      allowed.insert({ address: { family: 6, bytes: six }, bits: 64 }, i);
    }
    for (const i of [0, 1, 255, 256, 40_000, 65_279]) {
      expect(allowed.findV4(Uint8Array.of(10, i >>> 8, i & 255, 77), 0)).toBe(i);
      const six = new Uint8Array(16);
      six.set([0xfd, 0, i >>> 8, i & 255, 0, 0, 0, 0, 1]);
      expect(allowed.findV6(six, 0)).toBe(i);
    }
  });
});

/** One network of the linear table, compared byte by byte. */
class LinearEntry {
  readonly network: Prefix;
  readonly owner: number;

  constructor(network: Prefix, owner: number) {
    this.network = network;
    this.owner = owner;
  }

  contains(bytes: Uint8Array): boolean {
    const { address, bits } = this.network;
    if (address.bytes.length !== bytes.length) return false;
    for (let bit = 0; bit < bits; bit += 8) {
      const different = address.bytes[bit / 8]! ^ bytes[bit / 8]!;
      if (bits - bit >= 8 ? different !== 0 : different >>> (8 - (bits - bit)) !== 0) return false;
    }
    return true;
  }
}

function randomNetwork(random: SeededRandom): Prefix {
  if (random.chance(0.5)) {
    const bytes = Uint8Array.of(10, random.below(4), random.below(256), random.below(256));
    return prefix({ family: 4, bytes }, random.below(33));
  }
  const bytes = random.bytes(16);
  bytes.set([0xfd, 0, 0, random.below(4), 0, 0, 0, random.below(2)]);
  return prefix({ family: 6, bytes }, random.below(129));
}

const samePrefix = (a: Prefix, b: Prefix): boolean =>
  a.bits === b.bits && a.address.family === b.address.family && `${a.address.bytes}` === `${b.address.bytes}`;
