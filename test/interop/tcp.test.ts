/** Our TCP against Linux's through wireguard-go: bytes, crowds and every way to end. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from './agent.ts';
import { INNER, Lab } from './lab.ts';

describe('TCP against Linux', () => {
  let lab: Lab;
  let peer: Agent;
  let client: Agent;
  let port: number;
  const host = INNER.server[4];

  beforeAll(async () => {
    lab = await Lab.create();
    peer = lab.agent(lab.server, 'peer.mjs');
    client = lab.agent(lab.client, 'peer.mjs');
    port = (await peer.call<{ port: number }>('listen', { host })).port;
    await client.call('open', { conf: lab.conf() });
  });
  afterAll(() => lab?.destroy());

  it('downloads 100 MB byte for byte', async () => {
    const result = await client.call<{ received: number; ms: number }>('download', { host, port, bytes: 100_000_000 });
    console.log(`download: ${((result.received * 8) / result.ms / 1000).toFixed(0)} Mbit/s`);
    expect(result.received).toBe(100_000_000);
  });

  it('uploads 100 MB byte for byte', async () => {
    const result = await client.call<{ received: number; ms: number }>('upload', { host, port, bytes: 100_000_000 });
    console.log(`upload: ${((result.received * 8) / result.ms / 1000).toFixed(0)} Mbit/s`);
    expect(result.received).toBe(100_000_000);
  });

  it('carries 200 connections at once', async () => {
    const result = await client.call<{ received: number }>('many', { host, port, count: 200, bytes: 200_000 });
    expect(result.received).toBe(40_000_000);
  });

  it('accepts 200 connections at once that Linux opens', async () => {
    const own = await client.call<{ port: number }>('listen', {});
    const result = await peer.call<{ received: number }>('many', {
      host: INNER.client[4],
      port: own.port,
      count: 200,
      bytes: 100_000,
    });
    expect(result.received).toBe(20_000_000);
  });

  it('keeps receiving after its own half-close, and Linux after its (upload reports after our FIN)', async () => {
    const up = await client.call<{ received: number }>('upload', { host, port, bytes: 1_000_000 });
    expect(up.received).toBe(1_000_000);
    const own = await client.call<{ port: number }>('listen', {});
    const down = await peer.call<{ received: number }>('upload', {
      host: INNER.client[4],
      port: own.port,
      bytes: 1_000_000,
    });
    expect(down.received).toBe(1_000_000);
  });

  it('reports a reset by the peer as ECONNRESET, and a closed port as ECONNREFUSED', async () => {
    const { events } = await client.call<{ events: string[] }>('fate', { host, port, mode: 'reset' });
    expect(events).toEqual(['ECONNRESET']);
    expect(await client.call('connectError', { host, port: 9 })).toBe('ECONNREFUSED');
    const own = await client.call<{ port: number }>('listen', {});
    const theirs = await peer.call<{ events: string[] }>('fate', {
      host: INNER.client[4],
      port: own.port,
      mode: 'reset',
    });
    expect(theirs.events).toEqual(['ECONNRESET']);
    expect(await peer.call('connectError', { host: INNER.client[4], port: 9 })).toBe('ECONNREFUSED');
  });

  it('holds a zero window for 30 s, each way, and then goes on to the last byte (RFC 9293 §3.8.6.1)', async () => {
    const own = await client.call<{ port: number }>('listen', {});
    const [down, up] = await Promise.all([
      client.call<{ received: number }>('hold', { host, port, bytes: 30_000_000, holdMs: 30_000 }),
      peer.call<{ received: number }>('hold', {
        host: INNER.client[4],
        port: own.port,
        bytes: 30_000_000,
        holdMs: 30_000,
      }),
    ]);
    expect(down.received).toBe(30_000_000);
    expect(up.received).toBe(30_000_000);
  });
});
