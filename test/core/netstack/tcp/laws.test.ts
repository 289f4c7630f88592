import { describe, it } from 'vitest';
import { checkLaws, type Subject } from '../../../support/laws.ts';
import { established, SOCKET } from '../../../support/tcp-script.ts';

/** A script with one connection, whose outputs are its segments and its events. */
function subject(seed: number): Subject {
  const script = established({ seed });
  let credit = 256 * 1024;
  return {
    handleTimeout: (now) => script.tcp.handleTimeout(now),
    nextTimeout: () => script.tcp.nextTimeout(),
    nextOutput() {
      script.drain();
      const [segment] = script.sent.splice(0, 1);
      return segment ? { ...segment, payload: segment.payload.length } : script.events.shift();
    },
    handleBytes(bytes, now) {
      script.now = now;
      script.tcp.handleSegment(bytes, Math.min(20, bytes.length), Math.max(0, bytes.length - 20), 4, 12, 16, now);
      script.tcp.endBurst(now);
    },
    act(choice, now) {
      script.now = now;
      const kind = choice % 7;
      if (kind === 0 && credit >= 5000) {
        credit -= 5000;
        script.tcp.handleCommand({ kind: 'tcp-write', socket: SOCKET, bytes: new Uint8Array(5000) }, now);
      } else if (kind === 1) script.tcp.handleCommand({ kind: 'tcp-credit', socket: SOCKET, bytes: 1000 }, now);
      else if (kind === 2 && choice % 5 === 0) script.tcp.handleCommand({ kind: 'tcp-shutdown', socket: SOCKET }, now);
      else if (kind === 3) script.tcp.handleCommand({ kind: 'tcp-options', socket: SOCKET, keepAliveMs: 700 }, now);
      else if (kind === 4) {
        const to = { address: script.remote, port: 1 + (choice % 60_000) };
        script.tcp.handleCommand({ kind: 'tcp-connect', socket: 1000 + choice, to }, now);
      } else {
        script.feed(script.build({ flags: 'PA', seq: 1 + (choice % 3000), ack: 1 + (choice % 9000), length: 700 }));
        script.tcp.endBurst(now);
      }
    },
  };
}

describe('TCP as a machine', () => {
  it('keeps the laws: progress, quiet, deterministic, total', () => {
    const script = established({ seed: 1 });
    const samples = ['A', 'PA', 'FA', 'R', 'S', 'SA'].map((flags) =>
      script.build({ flags, seq: 1, ack: 1, length: 50 }),
    );
    checkLaws({ create: subject, samples, seeds: 20, steps: 300 });
  });
});
