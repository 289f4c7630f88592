import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { fromHex, toHex } from '../../../src/core/base/bytes.ts';
import {
  decodeNatPmpRequest,
  decodeNatPmpResponse,
  encodeNatPmpRequest,
  encodeNatPmpResponse,
  encodeUnsupportedOperation,
  type NatPmpRequest,
  type NatPmpResponse,
} from '../../../src/core/wire/natpmp.ts';

const port = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const protocol = fc.constantFrom('udp' as const, 'tcp' as const);

describe('NAT-PMP requests', () => {
  it('asks for the external address in two zero bytes (RFC 6886 §3.2)', () => {
    expect(toHex(encodeNatPmpRequest({ kind: 'external-address' }))).toBe('0000');
    expect(decodeNatPmpRequest(fromHex('0000'))).toEqual({ kind: 'external-address' });
  });

  it('asks for a mapping in 12 bytes: operation 1 for UDP, 2 for TCP (RFC 6886 §3.3)', () => {
    const request: NatPmpRequest = {
      kind: 'map',
      protocol: 'udp',
      internalPort: 6881,
      externalPort: 1,
      lifetimeSeconds: 60,
    };
    expect(toHex(encodeNatPmpRequest(request))).toBe('000100001ae100010000003c');
    expect(toHex(encodeNatPmpRequest({ ...request, protocol: 'tcp' }))).toBe('000200001ae100010000003c');
    expect(decodeNatPmpRequest(fromHex('000200001ae100010000003c'))).toEqual({ ...request, protocol: 'tcp' });
  });

  it('names what it cannot read: another version, an unknown operation, a response, too few bytes (RFC 6886 §3.5)', () => {
    expect(decodeNatPmpRequest(fromHex('0201000000000000'))).toBe('natpmp-version');
    expect(decodeNatPmpRequest(fromHex('0003'))).toBe('natpmp-operation');
    expect(decodeNatPmpRequest(fromHex('0080'))).toBe('natpmp-direction');
    expect(decodeNatPmpRequest(fromHex('000100001ae10001000000'))).toBe('natpmp-truncated');
    expect(decodeNatPmpRequest(new Uint8Array(0))).toBe('natpmp-truncated');
  });

  it('returns every request that it wrote', () => {
    fc.assert(
      fc.property(protocol, port, port, u32, (proto, internalPort, externalPort, lifetimeSeconds) => {
        const request: NatPmpRequest = { kind: 'map', protocol: proto, internalPort, externalPort, lifetimeSeconds };
        expect(decodeNatPmpRequest(encodeNatPmpRequest(request))).toEqual(request);
      }),
    );
  });
});

describe('NAT-PMP responses', () => {
  it('reads the external address and the epoch (RFC 6886 §3.2)', () => {
    expect(decodeNatPmpResponse(fromHex('0080000000000e10cb00710a'))).toEqual({
      kind: 'external-address',
      result: 0,
      epochSeconds: 3600,
      address: ip('203.0.113.10'),
    });
  });

  it('returns every mapping that it wrote', () => {
    fc.assert(
      fc.property(protocol, port, port, u32, u32, port, (proto, internal, external, seconds, epoch, result) => {
        const response: NatPmpResponse = {
          kind: 'map',
          protocol: proto,
          result,
          epochSeconds: epoch,
          internalPort: internal,
          externalPort: external,
          lifetimeSeconds: seconds,
        };
        expect(decodeNatPmpResponse(encodeNatPmpResponse(response))).toEqual(response);
      }),
    );
  });

  it('takes a failure of eight bytes, and of four (RFC 6886 §3.5)', () => {
    expect(decodeNatPmpResponse(fromHex('0082000200000007'))).toEqual({
      kind: 'error',
      operation: 2,
      result: 2,
      epochSeconds: 7,
    });
    expect(decodeNatPmpResponse(fromHex('00820003'))).toEqual({ kind: 'error', operation: 2, result: 3 });
  });

  it('writes the refusal of a version with operation 0 and no response bit, and reads it (RFC 6886 §3.5)', () => {
    const refusal = encodeNatPmpResponse({ kind: 'error', operation: 0, result: 1, epochSeconds: 5 });
    expect(toHex(refusal)).toBe('0000000100000005');
    expect(decodeNatPmpResponse(refusal)).toEqual({ kind: 'error', operation: 0, result: 1, epochSeconds: 5 });
  });

  it('returns an unknown operation whole, with the response bit and result 5 (RFC 6886 §3.5)', () => {
    const refusal = encodeUnsupportedOperation(fromHex('0009000012345678'));
    expect(toHex(refusal)).toBe('0089000512345678');
    expect(decodeNatPmpResponse(refusal)).toEqual({ kind: 'error', operation: 9, result: 5 });
  });

  it('refuses a success that is too short, a request, another version, an unknown operation', () => {
    expect(decodeNatPmpResponse(fromHex('00810000000000011ae11ae1000000'))).toBe('natpmp-truncated');
    expect(decodeNatPmpResponse(fromHex('000100001ae100010000003c'))).toBe('natpmp-direction');
    expect(decodeNatPmpResponse(fromHex('0281000000000000'))).toBe('natpmp-version');
    expect(decodeNatPmpResponse(fromHex('00830000000000000000000000000000'))).toBe('natpmp-operation');
    expect(decodeNatPmpResponse(fromHex('0080'))).toBe('natpmp-truncated');
  });

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        decodeNatPmpRequest(bytes);
        decodeNatPmpResponse(bytes);
      }),
      { numRuns: 5000 },
    );
  });
});
