import { describe, expect, it } from 'vitest';
import type { Instant } from '../../../src/core/base/instant.ts';
import { NatPmpLease } from '../../../src/core/portmap/lease.ts';
import { decodeNatPmpRequest, encodeNatPmpResponse, type NatPmpResponse } from '../../../src/core/wire/natpmp.ts';
import { deep } from '../../support/deep.ts';
import { checkLaws } from '../../support/laws.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { EXIT, GATEWAY, Gateway, INTERNAL } from './rig.ts';

const answers: NatPmpResponse[] = [
  { kind: 'external-address', result: 0, epochSeconds: 9, address: EXIT },
  ...(['udp', 'tcp'] as const).flatMap((protocol) =>
    [0, INTERNAL].flatMap((internalPort) => [
      {
        kind: 'map' as const,
        protocol,
        result: 0,
        epochSeconds: 9,
        internalPort,
        externalPort: 50_000,
        lifetimeSeconds: 60,
      },
      { kind: 'map' as const, protocol, result: 0, epochSeconds: 9, internalPort, externalPort: 0, lifetimeSeconds: 0 },
    ]),
  ),
  { kind: 'error', operation: 1, result: 2, epochSeconds: 9 },
];

describe('the lease as a machine', () => {
  it.each(['natpmp', 'protonvpn'] as const)('keeps the four laws of the contract: %s', (provider) => {
    let mappings = 0;
    checkLaws({
      seeds: deep(40, 2_000),
      samples: answers.map(encodeNatPmpResponse),
      create: (seed) => {
        const lease = new NatPmpLease({
          provider,
          gateway: GATEWAY,
          internalPort: INTERNAL,
          random: new SeededRandom(seed),
        });
        let asked: Uint8Array | undefined;
        const answer = (now: Instant): void => {
          const request = asked && decodeNatPmpRequest(asked);
          if (!request || typeof request === 'string') return;
          const response = new Gateway().answer(request, 0) as NatPmpResponse;
          lease.handleDatagram(encodeNatPmpResponse(response), { address: GATEWAY, port: 5351 }, now);
        };
        return {
          handleTimeout: (now) => lease.handleTimeout(now),
          nextTimeout: () => lease.nextTimeout(),
          nextOutput: () => {
            const output = lease.nextOutput();
            if (output?.kind === 'send') asked = output.bytes;
            if (output?.kind === 'mapped') mappings++;
            return output;
          },
          handleBytes: (bytes, now) => lease.handleDatagram(bytes, { address: GATEWAY, port: 5351 }, now),
          act: (choice, now) => {
            const pick = choice % 40;
            if (pick < 10) lease.handleHandshake(now);
            else if (pick < 20) answer(now);
            else if (pick < 25) lease.setInternalPort(INTERNAL, now);
            else if (pick < 30) lease.setInternalPort(1 + (choice % 65_535), now);
            else if (pick < 35) lease.restart(now);
            else if (pick === 39 && choice % 7 === 0) lease.release(now);
            lease.facts(now);
          },
        };
      },
    });
    expect(mappings, 'the histories get somewhere').toBeGreaterThan(0);
  });
});
