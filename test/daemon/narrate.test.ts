import { describe, expect, it, vi } from 'vitest';
import type { Logger } from '../../src/daemon/log.ts';
import { narrateUdpPort } from '../../src/daemon/narrate.ts';
import { type Examined, selectFrom } from '../../src/node/udp/select.ts';

describe('The log of a daemon', () => {
  const told = (examined: Examined, environment?: string): unknown[][] => {
    const info = vi.fn();
    const log = { info } as unknown as Logger;
    narrateUdpPort(log, (options) => selectFrom(() => examined, options, environment));
    return info.mock.calls;
  };
  const absent: Examined = { reason: 'absent', message: 'not on darwin-arm64' };

  it('says once why the faster UDP port is not used', () => {
    expect(told(absent)).toEqual([[absent, expect.stringContaining('node:dgram')]]);
  });

  it('says nothing where it is used, or node:dgram was asked for', () => {
    expect(told({ libc: {} as never })).toEqual([]);
    expect(told(absent, 'dgram')).toEqual([]);
  });
});
