/** The mirror of an engine on another thread. */
import { describe, expect, it } from 'vitest';
import { instant } from '../../../src/core/base/instant.ts';
import { Guard } from '../../../src/core/guard/guard.ts';
import type { Mirror } from '../../../src/node/engine.ts';
import { countdown } from '../../../src/node/mirror.ts';
import { createMirrorPage, MirrorReader, MirrorWriter } from '../../../src/node/worker/mirror-page.ts';

const mirror: Mirror = {
  at: instant(1_000.5),
  policy: new Guard().policy,
  configuration: 1,
  link: {
    mtu: 1420,
    lastHandshakeAt: undefined,
    rxBytes: 2 ** 40,
    txBytes: 3,
    drops: { replayed: 2 },
    crypto: 'noble',
  },
  sockets: { tcp: 1, udp: 2, listening: 3 },
  lease: { provider: 'natpmp', state: 'acquiring', protocols: [] },
  served: [{ port: 4, insidePort: 5 }],
  probe: undefined,
};

describe('a mirror page', () => {
  it('has nothing before the first write', () => {
    expect(new MirrorReader(createMirrorPage()).read()).toBeUndefined();
  });

  it('holds the mirror that was written last, with more drops', () => {
    const page = createMirrorPage();
    const [writer, reader] = [new MirrorWriter(page), new MirrorReader(page)];
    writer.write(mirror, {});
    expect(reader.read()).toEqual(mirror);
    writer.write({ ...mirror, configuration: 2 }, { replayed: 1, 'udp-receive-queue-full': 7 });
    expect(reader.read()).toEqual({
      ...mirror,
      configuration: 2,
      link: { ...mirror.link, drops: { replayed: 3, 'udp-receive-queue-full': 7 } },
    });
  });

  it('is read again only when it was written again', () => {
    const page = createMirrorPage();
    const [writer, reader] = [new MirrorWriter(page), new MirrorReader(page)];
    writer.write(mirror, {});
    const first = reader.read();
    expect(reader.read()).toBe(first);
  });

  it('shows the mirror before if the writer died in the middle of another', () => {
    const page = createMirrorPage();
    const [writer, reader] = [new MirrorWriter(page), new MirrorReader(page)];
    writer.write(mirror, {});
    reader.read();
    Atomics.add(new Int32Array(page), 0, 1);
    new Uint8Array(page, 8).fill(0xff);
    expect(reader.read()).toEqual(mirror);
  });
});

describe('a countdown', () => {
  it('goes on from when the mirror was read, and ends at 0', () => {
    expect(countdown(45, { at: instant(1_000) }, instant(1_000))).toBe(45);
    expect(countdown(45, { at: instant(1_000) }, instant(11_400))).toBe(35);
    expect(countdown(45, { at: instant(1_000) }, instant(100_000))).toBe(0);
    expect(countdown(undefined, { at: instant(1_000) }, instant(2_000))).toBeNull();
  });
});
