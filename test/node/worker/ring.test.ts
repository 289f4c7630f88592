/** The ring in shared memory between two threads, seen from one. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRing, FIRST_WITH_BYTES, RingReader, RingWriter } from '../../../src/node/worker/ring.ts';

const WITH_BYTES = FIRST_WITH_BYTES;

function ring(size: number): { writer: RingWriter; reader: RingReader } {
  const memory = createRing(size);
  return { writer: new RingWriter(memory), reader: new RingReader(memory) };
}

/** Everything that was published and not read yet. */
function read(reader: RingReader): [kind: number, number: number, content: number | string][] {
  const entries: [number, number, number | string][] = [];
  const { tail } = reader;
  while (reader.next(tail))
    entries.push([
      reader.kind,
      reader.number,
      reader.kind < FIRST_WITH_BYTES ? reader.value : reader.copy().toString('latin1'),
    ]);
  return entries;
}

describe('a ring', () => {
  it('hands over entries in order, with and without bytes', () => {
    const { writer, reader } = ring(1024);
    writer.write(1, -3, 17);
    writer.writeBytes(WITH_BYTES, 2 ** 40, Buffer.from('hello'));
    writer.writeBytes(WITH_BYTES, 5, Buffer.alloc(0));
    writer.publish();
    expect(read(reader)).toEqual([
      [1, -3, 17],
      [WITH_BYTES, 2 ** 40, 'hello'],
      [WITH_BYTES, 5, ''],
    ]);
  });

  it('shows nothing before it is published', () => {
    const { writer, reader } = ring(1024);
    writer.write(1, 1, 1);
    expect([reader.empty, read(reader)]).toEqual([true, []]);
    expect([writer.publish(), writer.publish()]).toEqual([true, false]);
    expect(reader.empty).toBe(false);
    expect(read(reader)).toHaveLength(1);
    expect(reader.empty).toBe(true);
  });

  it('refuses what does not fit, and takes it when room was made', () => {
    const { writer, reader } = ring(64);
    expect([1, 2, 3, 4, 5].map((number) => writer.write(1, number, 0))).toEqual([true, true, true, true, false]);
    writer.publish();
    expect(read(reader)).toHaveLength(4);
    expect(writer.write(1, 5, 0)).toBe(true);
  });

  it('gives an entry’s memory back only when the next one is asked for', () => {
    const { writer, reader } = ring(128);
    const bytes = Buffer.alloc(writer.longest, 'a');
    writer.writeBytes(WITH_BYTES, 1, bytes);
    writer.publish();
    reader.next(reader.tail);
    const view = reader.view();
    while (writer.write(1, 0, 0));
    expect(Buffer.from(view).toString()).toBe(bytes.toString());
    reader.next(reader.tail);
    expect(writer.write(1, 0, 0)).toBe(true);
  });

  it('asks to be told of room once', () => {
    const { writer, reader } = ring(64);
    expect(reader.takeStarved()).toBe(false);
    writer.starve();
    expect([reader.takeStarved(), reader.takeStarved()]).toEqual([true, false]);
  });

  it('takes any bytes of any alignment, round after round', () => {
    const entries = fc.array(fc.record({ length: fc.nat(464), shift: fc.nat(9), number: fc.integer() }), {
      minLength: 200,
      maxLength: 400,
    });
    fc.assert(
      fc.property(entries, fc.integer({ min: 1, max: 7 }), (list, readEvery) => {
        const { writer, reader } = ring(1024);
        const expected: string[] = [];
        const got: string[] = [];
        const drain = (): void => {
          writer.publish();
          for (const [, number, text] of read(reader)) got.push(`${number}:${text}`);
        };
        for (const [i, { length, shift, number }] of list.entries()) {
          const bytes = Buffer.alloc(shift + length, String.fromCharCode(97 + (i % 26))).subarray(shift);
          if (!writer.writeBytes(WITH_BYTES, number, bytes)) {
            drain();
            expect(writer.writeBytes(WITH_BYTES, number, bytes)).toBe(true);
          }
          expected.push(`${number}:${bytes.toString('latin1')}`);
          if (i % readEvery === 0) drain();
        }
        drain();
        expect(got).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });
});
