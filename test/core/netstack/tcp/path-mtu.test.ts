/** Segments that the path does not carry, and larger ones again (RFC 1191, RFC 4821, RFC 8201 as docs/protocol/path-mtu.md reads them). */
import { describe, expect, it } from 'vitest';
import { formatIp } from '../../../../src/core/base/address.ts';
import { u16be, u32be } from '../../../../src/core/base/bytes.ts';
import { icmpKind, icmpMtu } from '../../../../src/core/wire/icmp.ts';
import { ipHeader } from '../../../../src/core/wire/ip.ts';
import { parseIpPacket } from '../../../../src/core/wire/ip-packet.ts';
import { established, type Script, SOCKET } from '../../../support/tcp-script.ts';

const FULL = 1368;

const write = (script: Script, t: number, bytes: number): Script =>
  script.command(t, { kind: 'tcp-write', socket: SOCKET, bytes: new Uint8Array(bytes) });
const lengths = (script: Script): number[] => script.take().map(({ length }) => length);

/** A connection that took its path for one of 1280 bytes after a silence, and was answered at 2500; 3000 bytes are acknowledged. */
const narrowed = (): Script => {
  const script = established();
  write(script, 20, 3000).at(2500).take();
  script.inject(2500, { flags: 'A', seq: 1, ack: 3001 }).take();
  return script;
};

describe('a path that loses large segments in silence (RFC 4821 §7.7)', () => {
  it('is taken for one of 1280 bytes at the third timeout, of 1200 at the fourth', () => {
    const script = established();
    const sizes = write(script, 20, 3000)
      .at(5000)
      .take()
      .flatMap(({ seq, length, at }) => (seq === 1 && at > 100 ? [length] : []));
    expect([...new Set(sizes)]).toEqual([FULL, 1228, 1148]);
  });

  it('is tried with one full segment five seconds later (§7.3), and all are as large when that is acknowledged', () => {
    const script = narrowed();
    write(script, 6000, 4000);
    expect(lengths(script)).toEqual([1228, 1228, 1228, 316]);
    script.inject(6010, { flags: 'A', seq: 1, ack: 7001 });
    write(script, 7600, 4000);
    expect(lengths(script)).toEqual([FULL, 1228, 1228, 176]);
    script.inject(7650, { flags: 'A', seq: 1, ack: 11001 });
    write(script, 7700, 4000);
    expect(lengths(script)).toEqual([FULL, FULL, 1264]);
  });

  it('keeps its size when that one is lost: it goes again in pieces, and the next trial waits twice as long (§7.5)', () => {
    const script = narrowed();
    write(script, 7600, 4000);
    expect(lengths(script)).toEqual([FULL, 1228, 1228, 176]);
    const sack = [[3001 + FULL, 7001]] as const;
    script.inject(7610, { flags: 'A', seq: 1, ack: 3001, sack });
    expect(
      script
        .at(7640)
        .take()
        .map(({ seq, length }) => [seq, length]),
    ).toEqual([
      [3001, 1228],
      [4229, FULL - 1228],
    ]);
    script.inject(7700, { flags: 'A', seq: 1, ack: 7001 });
    write(script, 17_500, 2000);
    expect(lengths(script)).toEqual([1228, 772]);
    script.inject(17_510, { flags: 'A', seq: 1, ack: 9001 });
    write(script, 17_700, 2000);
    expect(lengths(script)).toEqual([FULL, 632]);
  });

  it('is not tried with less data than a full segment', () => {
    const script = narrowed();
    write(script, 7600, 1300);
    expect(lengths(script)).toEqual([1228, 72]);
  });

  it('goes again in pieces as the tail that is repeated (RFC 8985 §7.3), and after a timeout', () => {
    const script = narrowed();
    write(script, 7600, FULL);
    expect(lengths(script)).toEqual([FULL]);
    expect(
      script
        .at(12_000)
        .take()
        .map(({ seq, length }) => [seq, length]),
    ).toEqual([
      [4229, FULL - 1228],
      [3001, 1228],
    ]);
  });
});

describe('a packet too big', () => {
  it('is believed for ten minutes, then one full segment is tried (RFC 1191 §6.3)', () => {
    const script = established();
    write(script, 20, 3000).take();
    const ports = { local: script.localPort, remote: script.remotePort };
    script.tcp.handleIcmpError(
      script.local,
      script.remote,
      ports,
      (script.ourInitial + 1) >>> 0,
      'packet-too-big',
      1300,
      script.time,
    );
    script.drain();
    expect(script.take()[0]!.length).toBe(1248);
    script.inject(40, { flags: 'A', seq: 1, ack: 3001 });
    // What the stack remembers of the path is forgotten.
    script.lowered.length = 0;
    write(script, 590_000, 3000);
    expect(lengths(script)).toEqual([1248, 1248, 504]);
    script.inject(590_010, { flags: 'A', seq: 1, ack: 6001 });
    write(script, 601_000, 3000);
    expect(lengths(script)).toEqual([FULL, 1248, 384]);
  });
});

describe('a tunnel that becomes narrower or wider', () => {
  it('cuts what is outstanding and what follows, and lets both grow again', () => {
    const script = established();
    script.mtu = 1280;
    write(script, 20, 3000);
    expect(lengths(script)).toEqual([1228, 1228, 544]);
    script.inject(30, { flags: 'A', seq: 1, ack: 3001 });
    script.mtu = 1420;
    write(script, 50, 3000);
    expect(lengths(script)).toEqual([FULL, FULL, 264]);
  });

  it.each([4, 6] as const)(
    'tells the peer so, as a router would, by the segment that is waited for (IPv%i)',
    (family) => {
      const script = established({ family, scale: 7 });
      script.inject(15, { flags: 'A', seq: 1, ack: 1, length: 100 }).take();
      script.mtu = 1312;
      write(script, 20, 10);
      expect(script.icmp).toHaveLength(1);
      const [packet] = script.icmp;
      const header = ipHeader();
      expect(parseIpPacket(packet!, 0, packet!.length, header)).toBeUndefined();
      const { payloadOffset: at } = header;
      expect([icmpKind(packet!, at, family), icmpMtu(packet!, at, family)]).toEqual(['packet-too-big', 1312]);
      const quoted = at + 8;
      const [size, addresses, tcp] = family === 4 ? [4, quoted + 12, quoted + 20] : [16, quoted + 8, quoted + 40];
      const address = (offset: number): string => formatIp({ family, bytes: packet!.slice(offset, offset + size) });
      expect([address(addresses), address(addresses + size)]).toEqual([
        formatIp(script.remote),
        formatIp(script.local),
      ]);
      expect([u16be(packet!, tcp), u16be(packet!, tcp + 2)]).toEqual([script.remotePort, script.localPort]);
      expect((u32be(packet!, tcp + 4) - script.theirInitial) | 0).toBe(101);
    },
  );

  it('tells no peer whose MSS it can keep', () => {
    const script = established({ mtu: 1280 });
    script.mtu = 1420;
    write(script, 20, 10);
    expect(script.icmp).toEqual([]);
  });
});
