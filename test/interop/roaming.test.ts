/** Our responder under wireguard-go as the client that moves, and both ends initiating at once (I1, C7). */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from './agent.ts';
import { INNER, Lab, OUTER, until } from './lab.ts';

interface View {
  readonly endpoint: string | null;
  readonly handshakes: number;
}

describe('our responder and a wireguard-go client', () => {
  let lab: Lab;
  let responder: Agent;
  let kernelInterface: string;

  beforeAll(async () => {
    lab = await Lab.create({ server: false });
    responder = lab.agent(lab.server, 'responder.mjs');
    await responder.call('open', {
      privateKey: lab.keys.server,
      peerPublicKey: lab.clientPublicKey,
      allowedIps: [`${INNER.client[4]}/32`],
      addresses: [INNER.server[4]],
      bind: { host: OUTER.server[4], port: lab.port },
    });
    await lab.startKernelClient(`${OUTER.server[4]}:${lab.port}`);
    kernelInterface = lab.kernelInterface;
    lab.run(lab.client, 'ping', '-q', '-c', '2', '-i', '0.2', '-W', '6', INNER.server[4]);
  });
  afterAll(() => lab?.destroy());

  it('follows a client to a new source port on an authenticated packet, without a new handshake (I1)', async () => {
    const before = await responder.call<View>('view');
    lab.wg('set', kernelInterface, 'listen-port', '40123');
    lab.run(lab.client, 'ping', '-q', '-c', '2', '-i', '0.2', '-W', '2', INNER.server[4]);
    const after = await responder.call<View>('view');
    expect(after.endpoint).toBe(`${OUTER.client[4]}:40123`);
    expect(after.handshakes).toBe(before.handshakes);
  });

  it('follows a client to a new address in the middle of a transfer, byte for byte (I1)', async () => {
    const { port } = await responder.call<{ port: number }>('listen', {});
    const kernel = lab.agent(lab.client, 'peer.mjs');
    const transfer = kernel.call<{ received: number }>('download', {
      host: INNER.server[4],
      port,
      bytes: 20_000_000,
      bytesPerSecond: 5_000_000,
    });
    await sleep(1_000);
    lab.ip('-n', lab.client, 'addr', 'del', `${OUTER.client[4]}/24`, 'dev', lab.cable);
    lab.ip('-n', lab.client, 'addr', 'add', '10.9.0.3/24', 'dev', lab.cable);
    expect((await transfer).received).toBe(20_000_000);
    expect((await responder.call<View>('view')).endpoint).toBe('10.9.0.3:40123');
  });
});

describe('both ends initiating at once', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.create();
  });
  afterAll(() => lab?.destroy());

  it('converges on a session that carries data each way, six times of six (C7)', async () => {
    for (let round = 0; round < 6; round++) {
      const local = 52_000 + round;
      const client = lab.agent(lab.client, 'peer.mjs');
      // The server initiates by its keepalive timer and its own traffic, we by opening the tunnel.
      lab.wg(
        'set',
        lab.serverInterface,
        'peer',
        lab.clientPublicKey,
        'endpoint',
        `${OUTER.client[4]}:${local}`,
        'persistent-keepalive',
        '1',
      );
      const ping = lab.spawnIn(lab.server, 'ping', ['-q', '-i', '0.05', '-c', '60', INNER.client[4]]);
      const conf = lab.conf().replace('[Peer]', `ListenPort = ${local}\n[Peer]`);
      await client.call('open', { conf });
      const own = await client.call<{ port: number }>('listen', {});
      const peer = lab.agent(lab.server, 'peer.mjs');
      const down = await peer.call<{ received: number }>('download', {
        host: INNER.client[4],
        port: own.port,
        bytes: 1_000_000,
      });
      expect(down.received).toBe(1_000_000);
      ping.kill();
      peer.process.kill();
      client.process.kill();
      await until(
        () => client.process.exitCode !== null || client.process.signalCode !== null,
        'the client did not end',
      );
    }
  });
});
