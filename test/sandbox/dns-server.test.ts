import { describe, expect, it } from 'vitest';
import { ip } from '../../src/core/base/address.ts';
import { concat } from '../../src/core/base/bytes.ts';
import { instant } from '../../src/core/base/instant.ts';
import type { SocketCommand } from '../../src/core/netstack/messages.ts';
import { decodeMessage, encodeQuery, TYPE_A } from '../../src/core/wire/dns.ts';
import { DnsServer } from '../../src/sandbox/dns-server.ts';
import { DnsZone } from '../../src/sandbox/dns-zone.ts';

const T0 = instant(1000);
const CALLER = { address: ip('10.2.0.2'), port: 5000 };

/** A server whose host is a list of commands. */
function serve(): { server: DnsServer; zone: DnsZone; commands: SocketCommand[]; listener: number } {
  const commands: SocketCommand[] = [];
  const zone = new DnsZone();
  zone.set('one.test', ['198.51.100.1']);
  const server = new DnsServer((command) => commands.push(command), zone, T0);
  const listen = commands.find((command) => command.kind === 'tcp-listen')!;
  return { server, zone, commands, listener: listen.kind === 'tcp-listen' ? listen.socket : 0 };
}

function framed(id: number): Uint8Array {
  const query = encodeQuery(id, { name: 'one.test', type: TYPE_A });
  return concat(Uint8Array.of(0, query.length), query);
}

/** Identifiers of the answers written to a connection, in order. */
function answered(commands: readonly SocketCommand[]): (number | undefined)[] {
  return commands.flatMap((command) =>
    command.kind === 'tcp-write' ? [decodeMessage(command.bytes.subarray(2))?.id] : [],
  );
}

describe('the name server over TCP (RFC 1035 §4.2.2, RFC 7766)', () => {
  it('reads queries in pieces of any size, several on one connection, and gives the bytes back as credit', () => {
    const { server, commands, listener } = serve();
    const accepted = { listener, socket: -1, local: CALLER, remote: CALLER, writeCredit: 1000 };
    server.handleEvent({ kind: 'tcp-accepted', ...accepted }, T0);
    const stream = concat(framed(1), framed(2), framed(3));
    for (const [start, end] of [
      [0, 1],
      [1, 2],
      [2, 20],
      [20, stream.length - 1],
      [stream.length - 1, stream.length],
    ])
      server.handleEvent({ kind: 'tcp-data', socket: -1, bytes: stream.slice(start, end) }, T0);
    expect(answered(commands)).toEqual([1, 2, 3]);
    const credit = commands.reduce((sum, command) => sum + (command.kind === 'tcp-credit' ? command.bytes : 0), 0);
    expect(credit).toBe(stream.length);
  });

  it('closes its side when the caller does, and takes no part in other sockets of its host', () => {
    const { server, commands, listener } = serve();
    const accepted = { listener, socket: -1, local: CALLER, remote: CALLER, writeCredit: 1000 };
    server.handleEvent({ kind: 'tcp-accepted', ...accepted }, T0);
    server.handleEvent({ kind: 'tcp-end', socket: -1 }, T0);
    expect(commands.at(-1)).toEqual({ kind: 'tcp-shutdown', socket: -1 });
    const before = commands.length;
    server.handleEvent({ kind: 'tcp-accepted', ...accepted, listener: 80, socket: -2 }, T0);
    server.handleEvent({ kind: 'tcp-data', socket: -2, bytes: framed(1) }, T0);
    server.handleEvent({ kind: 'tcp-end', socket: -2 }, T0);
    server.handleEvent({ kind: 'udp-datagram', socket: 5351, bytes: framed(1), from: CALLER }, T0);
    expect(commands.length).toBe(before);
  });

  it('keeps a delayed answer back until its time, and drops it if the connection is gone by then', () => {
    const { server, zone, commands, listener } = serve();
    zone.delayMs = 100;
    const accepted = { listener, local: CALLER, remote: CALLER, writeCredit: 1000 };
    for (const socket of [-1, -2]) {
      server.handleEvent({ kind: 'tcp-accepted', ...accepted, socket }, T0);
      server.handleEvent({ kind: 'tcp-data', socket, bytes: framed(-socket) }, T0);
    }
    server.handleEvent({ kind: 'closed', socket: -1 }, T0);
    expect(answered(commands)).toEqual([]);
    expect(server.nextTimeout()).toBe(1100);
    server.handleTimeout(instant(1100));
    expect(answered(commands)).toEqual([2]);
    expect(server.nextTimeout()).toBeUndefined();
  });
});
