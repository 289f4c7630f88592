/** The search for what the path outside carries (RFC 8899 as docs/protocol/path-mtu.md reads it), against a path in virtual time. */
import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { type Instant, instant } from '../../../src/core/base/instant.ts';
import { OuterMtu } from '../../../src/core/tunnel/outer-mtu.ts';
import { checkLaws } from '../../support/laws.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const GATEWAY = ip('10.2.0.1');
const OTHER = ip('10.2.0.53');

/** A path that carries packets up to `carries` and answers after a round trip; `lost` loses more. */
class Path {
  now: Instant = instant(0);
  carries = 1420;
  rttMs = 40;
  /** Who answers. */
  answers = [GATEWAY, OTHER];
  lost: (length: number) => boolean = () => false;
  /** The system cuts into fragments what is too large, once it knows. */
  fragments = false;
  readonly outer: OuterMtu;
  /** Lengths asked, in order. */
  asked: number[] = [];
  readonly mtus: number[] = [];
  readonly #arrivals: { at: number; ids: number; length: number; from: typeof GATEWAY }[] = [];

  constructor(ceiling = 1420, targets = [GATEWAY]) {
    this.outer = new OuterMtu({ random: new SeededRandom(5), ceiling, targets }, this.now);
  }

  do(change: (outer: OuterMtu, now: Instant) => void): this {
    change(this.outer, this.now);
    for (let output = this.outer.nextOutput(); output; output = this.outer.nextOutput()) {
      if (output.kind === 'mtu') {
        this.mtus.push(output.mtu);
        continue;
      }
      const { to, ids, length } = output.question;
      this.asked.push(length);
      if ((length > this.carries && !this.fragments) || this.lost(length) || !this.answers.includes(to)) continue;
      this.#arrivals.push({ at: this.now + this.rttMs, ids, length, from: to });
    }
    return this;
  }

  open(): this {
    return this.do((outer, now) => outer.handlePath(now));
  }

  pass(seconds: number): this {
    const end = this.now + seconds * 1_000;
    for (;;) {
      const arrival = this.#arrivals[0]?.at ?? Infinity;
      const timeout = this.outer.nextTimeout() ?? Infinity;
      if (Math.min(arrival, timeout) > end) break;
      this.now = instant(Math.max(this.now, Math.min(arrival, timeout)));
      if (arrival <= timeout) {
        const reply = this.#arrivals.shift()!;
        this.do((outer) => expect(outer.handleReply(reply, this.now) || this.outer.mtu >= reply.length).toBe(true));
      } else {
        this.do((outer) => outer.handleTimeout(this.now));
        expect(this.outer.nextTimeout() ?? Infinity).toBeGreaterThan(this.now);
      }
    }
    this.now = instant(end);
    return this;
  }

  /** Packets come in, ten a second, the largest of so many bytes. */
  receive(seconds: number, length: number): this {
    for (let i = 0; i < seconds * 10; i++) this.pass(0.1).do((outer, now) => outer.handleReceived(length, now));
    return this;
  }

  takeAsked(): number[] {
    return this.asked.splice(0);
  }
}

/** What an IPv4 or IPv6 line of this MTU has left for a packet that both ends pad (whitepaper §5.4.6). */
const fits = (line: number, outer: 4 | 6): number => {
  const room = line - (outer === 4 ? 60 : 80);
  return room >= 1420 ? 1420 : room & ~15;
};

describe('the search on a new path (RFC 8899 §5.3)', () => {
  it('asks each size once where the ceiling passes', () => {
    const path = new Path().open().pass(60);
    expect([path.outer.mtu, path.mtus]).toEqual([1420, []]);
    expect(path.takeAsked()).toEqual([1200, 1216, 1280, 1312, 1328, 1360, 1376, 1392, 1408, 1420]);
    expect(path.outer.nextTimeout()).toBeUndefined();
  });

  it.each([
    ['PPPoE over IPv6', 1492, 6, 1408],
    ['DS-Lite', 1460, 4, 1392],
    ['mobile', 1400, 4, 1328],
    ['mobile over IPv6', 1400, 6, 1312],
    ['a tunnel in a tunnel', 1420, 4, 1360],
    ['the smallest IPv6 line', 1280, 6, 1200],
    ['an IPv4 line of 1280', 1280, 4, 1216],
  ] as const)('finds what %s leaves (line of %i, IPv%i)', (_, line, outer, mtu) => {
    const path = new Path();
    path.carries = fits(line, outer);
    expect(path.open().pass(10).outer.mtu).toBe(mtu);
  });

  it('knows a clean cut after one volley: several sizes that arrived, several that did not', () => {
    const path = new Path();
    path.carries = 1340;
    path.open().pass(0.31);
    expect(path.mtus).toEqual([1328]);
  });

  it('takes one size that is missing for lost by chance until it is missing twice', () => {
    const path = new Path();
    path.carries = 1419;
    expect(path.open().pass(0.31).outer.mtu).toBe(1420);
    expect(path.pass(0.31).outer.mtu).toBe(1408);
  });

  it('is not misled by the loss of single packets', () => {
    const path = new Path();
    const unlucky = new Set([1420, 1328]);
    path.lost = (length) => unlucky.delete(length);
    expect(path.open().pass(10).mtus).toEqual([]);
  });

  it('waits three round trips for answers, 300 ms at least, a second while none is known (§5.1.1)', () => {
    const path = new Path();
    path.rttMs = 700;
    path.open();
    expect(path.outer.nextTimeout()).toBe(1_000);
    expect(path.pass(20).mtus).toEqual([]);
    expect(path.takeAsked()).toHaveLength(10);
  });

  it('asks the next host where one does not answer, and keeps the ceiling if none does', () => {
    const path = new Path(1420, [GATEWAY, OTHER]);
    path.answers = [OTHER];
    path.carries = 1400;
    expect(path.open().pass(10).outer.mtu).toBe(1392);
    const silent = new Path();
    silent.answers = [];
    expect(silent.open().pass(60).mtus).toEqual([]);
    expect(silent.takeAsked()).toHaveLength(10 + 2 + 2);
    expect(silent.outer.nextTimeout()).toBeUndefined();
  });

  it('asks nobody without a host to ask, or below a ceiling that is the smallest size', () => {
    expect(new Path(1420, []).open().pass(60).takeAsked()).toEqual([]);
    expect(new Path(1200).open().pass(60).takeAsked()).toEqual([]);
  });

  it('never exceeds the MTU of the .conf', () => {
    const path = new Path(1320);
    expect(path.open().pass(10).takeAsked().at(-1)).toBe(1320);
    expect(path.outer.mtu).toBe(1320);
  });

  it('believes no answer that was not asked for: another identifier, length, host or number', () => {
    const path = new Path();
    path.answers = [];
    path.open();
    const random = new SeededRandom(5);
    const identifier = random.u32() >>> 16;
    const genuine = { from: GATEWAY, ids: ((identifier << 16) | (1 << 8) | 9) >>> 0, length: 1420 };
    const says = (reply: Partial<typeof genuine>): boolean =>
      path.outer.handleReply({ ...genuine, ...reply }, path.now);
    expect([
      says({ ids: (genuine.ids ^ (1 << 16)) >>> 0 }),
      says({ length: 1408 }),
      says({ from: OTHER }),
      says({ ids: (genuine.ids & ~0xff) | 10 }),
      says({ ids: genuine.ids + 256 }),
    ]).toEqual([false, false, false, false, false]);
    expect(says({})).toBe(true);
  });
});

describe('a path that becomes narrower (RFC 8899 §4.3, §5.1.1)', () => {
  it('is noticed five seconds after packets of full size cease', () => {
    const path = new Path().open().receive(30, 1420);
    expect(path.takeAsked()).toHaveLength(10);
    path.carries = 1340;
    path.pass(7);
    expect(path.outer.mtu).toBe(1328);
  });

  it('costs one question where all is well, ever more seldom', () => {
    const path = new Path().open().receive(3, 1420);
    path.takeAsked();
    path.receive(3600, 100);
    expect(path.takeAsked().every((length) => length === 1420)).toBe(true);
    path.receive(3600, 100);
    expect(path.takeAsked().length).toBeLessThanOrEqual(6);
  });

  it('asks nothing while packets of full size arrive, and nothing on an idle tunnel', () => {
    const path = new Path().open().pass(10);
    path.takeAsked();
    expect(path.receive(600, 1420).takeAsked()).toEqual([]);
    path.pass(10).takeAsked();
    expect(path.pass(36_000).takeAsked()).toEqual([]);
  });

  it('is looked into when somebody suspects it, seldom if in vain', () => {
    const path = new Path().open().pass(10);
    path.takeAsked();
    path.do((outer, now) => outer.handleSuspicion(now)).pass(1);
    expect(path.takeAsked()).toEqual([1420]);
    for (let i = 0; i < 600; i++) path.do((outer, now) => outer.handleSuspicion(now)).pass(1);
    expect(path.takeAsked().length).toBeLessThan(8);
    path.carries = 1280;
    path
      .pass(600)
      .do((outer, now) => outer.handleSuspicion(now))
      .pass(3);
    expect(path.outer.mtu).toBe(1280);
  });

  it('does not shrink when nobody answers any more', () => {
    const path = new Path().open().pass(10);
    path.answers = [];
    path.do((outer, now) => outer.handleSuspicion(now)).pass(60);
    expect(path.mtus).toEqual([]);
  });
});

describe('a path that becomes wider (RFC 8899 §5.1.1, PMTU_RAISE_TIMER)', () => {
  const narrow = (): Path => {
    const path = new Path();
    path.carries = 1340;
    path.open().pass(5);
    path.takeAsked();
    return path;
  };

  it('is tried after half a minute, then ever more seldom, up to every ten minutes', () => {
    const path = narrow();
    path.carries = 1420;
    expect(path.pass(30).mtus).toEqual([1328, 1420]);
    const still = narrow().pass(3600);
    expect(still.mtus).toEqual([1328]);
    expect(still.takeAsked().filter((length) => length === 1420).length).toBeLessThan(3 * 11);
  });

  it('is tried at the end of a round in which its time came', () => {
    const path = narrow().pass(23);
    path.lost = () => true;
    path.do((outer, now) => outer.handleSuspicion(now)).pass(4.5);
    expect(path.takeAsked()).toEqual([
      1328, 1200, 1216, 1280, 1312, 1328, 1360, 1376, 1392, 1408, 1420, 1200, 1420, 1200, 1420, 1328, 1360, 1376, 1392,
      1408, 1420,
    ]);
  });

  it('is tried sooner when somebody sends more than we take', () => {
    const path = narrow().pass(100);
    path.carries = 1420;
    path.receive(70, 1420);
    expect(path.outer.mtu).toBe(1420);
  });

  it('starts anew on a new path, and with the ceiling where nobody answers there', () => {
    const path = narrow();
    path.answers = [];
    expect(path.open().pass(5).outer.mtu).toBe(1420);
  });

  it('starts with its ceiling for another configuration', () => {
    const path = narrow().do((outer) => outer.configure({ ceiling: 1400, targets: [OTHER] }));
    expect([path.outer.mtu, path.outer.nextTimeout()]).toEqual([1400, undefined]);
  });
});

describe('a system that learns the MTU itself (EMSGSIZE, RFC 1191 §6)', () => {
  it('counts only what arrived whole: what is asked after is sent in fragments', () => {
    const path = new Path();
    path.carries = 1392;
    path.open();
    path.fragments = true;
    path.do((outer, now) => outer.handleTooLong(undefined, now)).pass(60);
    expect(path.mtus).toEqual([1392]);
  });

  it('does not try larger sizes before the system has forgotten', () => {
    const path = new Path();
    path.carries = 1392;
    path.open();
    path.do((outer, now) => outer.handleTooLong(undefined, now)).pass(5);
    path.takeAsked();
    expect(path.receive(600, 1420).takeAsked()).toEqual([]);
    path.pass(10).takeAsked();
    expect(path.pass(110).takeAsked().slice(0, 7)).toEqual([1392, 1408, 1420, 1408, 1420, 1408, 1420]);
  });

  it('asks at once when it is told how much passes, and believes the answers (RFC 8899 §4.6.2)', () => {
    const path = new Path().open().pass(10);
    path.carries = 1345;
    path.takeAsked();
    path.do((outer, now) => outer.handleTooLong(1345, now)).pass(0.31);
    expect(path.mtus).toEqual([1328]);
    const lie = new Path().open().pass(10);
    lie.do((outer, now) => outer.handleTooLong(1345, now)).pass(0.31);
    lie.do((outer, now) => outer.handleTooLong(1216, now)).pass(60);
    expect(lie.mtus).toEqual([]);
  });

  it('believes it where nobody answers, until it has forgotten', () => {
    const path = new Path();
    path.answers = [];
    path.open().do((outer, now) => outer.handleTooLong(1345, now));
    expect(path.pass(600).mtus).toEqual([1328]);
    expect(path.pass(120).mtus).toEqual([1328, 1420]);
    const alone = new Path(1420, []).open();
    alone.do((outer, now) => outer.handleTooLong(1345, now));
    expect(alone.pass(720).mtus).toEqual([1328, 1420]);
  });

  it('is a lie if it leaves less than any line does, whatever it was told by whom (RFC 5927 §7)', () => {
    const path = new Path();
    path.answers = [];
    expect(
      path
        .open()
        .do((outer, now) => outer.handleTooLong(492, now))
        .pass(600).mtus,
    ).toEqual([]);
  });

  it('is a suspicion at any other time', () => {
    const path = new Path().open().pass(10);
    path.takeAsked();
    path.do((outer, now) => outer.handleTooLong(undefined, now));
    expect(path.takeAsked()).toEqual([1420]);
  });
});

it('obeys the four laws', () => {
  checkLaws({
    create: (seed) => {
      const outer = new OuterMtu({ random: new SeededRandom(seed), ceiling: 1420, targets: [GATEWAY] }, instant(0));
      const questions: { ids: number; length: number }[] = [];
      return {
        handleTimeout: (now) => outer.handleTimeout(now),
        nextTimeout: () => outer.nextTimeout(),
        nextOutput: () => {
          const output = outer.nextOutput();
          if (output?.kind === 'ask') questions.push(output.question);
          return output;
        },
        handleBytes: (bytes, now) => {
          const question = questions[(bytes[0] ?? 0) % (questions.length || 1)];
          if (question) outer.handleReply({ from: GATEWAY, ...question }, now);
        },
        act: (choice, now) => {
          if (choice % 5 === 0) outer.handlePath(now);
          else if (choice % 5 === 1) outer.handleSuspicion(now);
          else if (choice % 5 === 2) outer.handleTooLong(undefined, now);
          else if (choice % 5 === 3) outer.handleReceived(choice % 1500, now);
          else outer.stop();
        },
      };
    },
  });
});
