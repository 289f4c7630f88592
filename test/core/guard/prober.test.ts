/** The leak probe's schedule and what follows from its answers, on a virtual clock (F18 to F21, G4; leak plan 11, 27 to 29). */
import { beforeEach, describe, expect, it } from 'vitest';
import { ip, parsePrefix } from '../../../src/core/base/address.ts';
import { type Instant, instant } from '../../../src/core/base/instant.ts';
import { Egress } from '../../../src/core/guard/egress.ts';
import { Guard, type GuardSettings } from '../../../src/core/guard/guard.ts';
import type { ProbeRequestFault } from '../../../src/core/guard/probe-answer.ts';
import { Prober } from '../../../src/core/guard/prober.ts';
import type { ProberOutput, ProberSettings } from '../../../src/core/guard/prober-messages.ts';
import { checkLaws } from '../../support/laws.ts';

const KEY = new Uint8Array(32).fill(1);
const OTHER_KEY = new Uint8Array(32).fill(2);
const EXIT = { 4: '203.0.113.10', 6: '2001:db8:203::10' } as const;
const ELSEWHERE = { 4: '192.0.2.7', 6: '2001:db8:bad::7' } as const;
const LEARNT = ['203.0.113.0/24', '2001:db8:203::/48'];

/** What a server says; `undefined` leaves the question open. */
type Answer = string | ProbeRequestFault | undefined;

const FAULTS: readonly string[] = ['no-name', 'no-connection', 'not-verified', 'timeout', 'not-200', 'encoded'];
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

class World {
  now: Instant = instant(0);
  readonly guard: Guard;
  readonly egress: Egress;
  readonly prober: Prober;
  /** By family and the server's place in the list. */
  answers: (family: 4 | 6, server: number) => Answer = (family) => EXIT[family];
  portAwaited = false;
  /** `family/server` with its time in seconds, `cancel`, `done`, `exit-changed`, in order. */
  log: string[] = [];
  readonly remembered: string[] = [];
  /** Questions that were left open, the latest last. */
  readonly open: number[] = [];

  constructor(settings: Partial<ProberSettings> = {}, guard: GuardSettings = {}, families: (4 | 6)[] = [4, 6]) {
    // Without keepalives a handshake has no age, so nothing here has to renew it.
    this.guard = new Guard({ keepalive: false, ...guard });
    this.egress = settings.egress ?? new Egress({});
    const defaults = { egress: this.egress, servers: { 4: 3, 6: 3 }, wallMs: () => 1_000 + this.now };
    this.prober = new Prober({ ...defaults, ...settings }, this.guard, { key: KEY, families });
    this.settle();
  }

  settle(): void {
    this.prober.handleGuard(this.portAwaited, this.now);
    for (let output = this.prober.nextOutput(); output; output = this.prober.nextOutput()) {
      this.take(output);
      this.prober.handleGuard(this.portAwaited, this.now);
    }
  }

  take(output: ProberOutput): void {
    if (output.kind === 'result') this.guard.handleProbe(output.result, this.now);
    else if (output.kind === 'remember') this.remembered.push(output.text);
    else this.log.push(`${this.now / 1_000} ${describeOutput(output)}`);
    if (output.kind !== 'ask') return;
    const answer = this.answers(output.family, output.server);
    if (answer === undefined) this.open.push(output.number);
    else this.reply(output.number, answer);
  }

  reply(number: number, answer: string): void {
    const said = FAULTS.includes(answer) ? (answer as ProbeRequestFault) : bytes(answer);
    this.prober.handleAnswer(number, said, this.now);
  }

  /** Something happens now. */
  do(change: () => void): this {
    change();
    this.settle();
    return this;
  }

  handshake(): this {
    return this.do(() => this.guard.handleHandshake(this.now));
  }

  /** The tunnel is lost, as by a change of server. */
  lose(): this {
    return this.do(() => this.guard.handleIdentity(this.now));
  }

  /** Time passes; the prober's timer fires at each of its deadlines. */
  pass(seconds: number): this {
    const end = this.now + seconds * 1_000;
    for (let due = this.prober.nextTimeout(); due !== undefined && due <= end; due = this.prober.nextTimeout()) {
      this.now = due;
      this.prober.handleTimeout(this.now);
      this.settle();
    }
    this.now = instant(end);
    return this;
  }

  /** What was asked and cancelled since the last call. */
  asked(): string[] {
    return this.log.splice(0).filter((line) => !/done|changed/.test(line));
  }

  get facts() {
    return this.prober.facts(this.now);
  }

  get reasons(): readonly string[] {
    return this.guard.policy.killswitch.reasons;
  }
}

function describeOutput(output: Exclude<ProberOutput, { readonly kind: 'result' | 'remember' }>): string {
  if (output.kind === 'ask') return `${output.family}/${output.server}`;
  return output.kind === 'done' ? `done ${output.probe}` : output.kind;
}

let world: World;
beforeEach(() => {
  world = new World();
});

/** A tunnel that is up and has learnt both exits. */
function settled(...args: ConstructorParameters<typeof World>): World {
  world = new World(...args).handshake();
  world.asked();
  return world;
}

const only4 = [{ servers: { 4: 3, 6: 0 } }] as const;

describe('when it asks', () => {
  it('is never before a handshake, then at once, both families apart', () => {
    world.pass(3_600);
    expect(world.log).toEqual([]);
    expect(world.facts).toMatchObject({ verdict: 'pending', checkedAtMs: undefined, nextInSeconds: undefined });
    world.handshake();
    // Nothing is known yet, so a second server has to agree.
    expect(world.log).toEqual(['3600 4/0', '3600 6/0', '3600 4/1', '3600 6/1', '3600 done 1']);
    expect(world.facts).toMatchObject({ verdict: 'ok', checkedAtMs: 3_601_000, nextInSeconds: 300 });
  });

  it('is every five minutes (F18)', () => {
    settled(...only4).pass(1_000);
    expect(world.asked()).toEqual(['300 4/0', '600 4/0', '900 4/0']);
    expect(world.facts.nextInSeconds).toBe(200);
  });

  it('is as often as configured', () => {
    settled({ intervalSeconds: 60, servers: { 4: 1, 6: 0 } }).pass(130);
    expect(world.asked()).toEqual(['60 4/0', '120 4/0']);
  });

  it('is after each outage, at once, and not at the handshakes in between', () => {
    settled(...only4).pass(100);
    world.handshake().lose().pass(50);
    expect(world.asked()).toEqual([]);
    expect(world.facts).toMatchObject({ verdict: 'pending', nextInSeconds: undefined });
    world.handshake();
    expect(world.asked()).toEqual(['150 4/0']);
  });

  it('is of the families that have both an address and a server to ask', () => {
    settled({}, {}, [4]);
    expect(world.facts.families.map(({ family }) => family)).toEqual([4]);
    settled({ servers: { 4: 0, 6: 2 } });
    expect(world.facts.families.map(({ family }) => family)).toEqual([6]);
    settled({ servers: { 4: 0, 6: 2 } }, {}, [4]).pass(1_000);
    expect(world.facts.families).toEqual([]);
    expect(world.log).toEqual([]);
  });

  it('is when a person wants to know; the next one by itself is five minutes later', () => {
    settled(...only4).pass(100);
    world.do(() => expect(world.prober.demand(world.now)).toBe(2)).pass(350);
    expect(world.log).toEqual(['100 4/0', '100 done 2', '400 4/0', '400 done 3']);
  });

  it('is once more for a person who comes while a probe is running: its answers may be from before', () => {
    settled(...only4);
    world.answers = () => undefined;
    world.do(() => world.prober.demand(world.now)).pass(1);
    world.do(() => expect(world.prober.demand(world.now)).toBe(3));
    world.answers = () => EXIT[4];
    world.do(() => world.reply(world.open[0]!, EXIT[4]));
    expect(world.log).toEqual(['0 4/0', '1 done 2', '1 4/0', '1 done 3']);
  });

  it('is not while the tunnel is down, whoever wants to know: that is told at once (leak plan 29)', () => {
    world.do(() => expect(world.prober.demand(world.now)).toBe(1));
    expect(world.log).toEqual(['0 done 1']);
    expect(world.facts.verdict).toBe('pending');
  });
});

describe('while the tunnel is down', () => {
  it.each([
    [
      'stale',
      () => world.guard.handleLink({ lastReceivedAt: world.now, initiationUnansweredSince: world.now }, world.now),
    ],
    ['starting', () => world.guard.handleIdentity(world.now)],
    ['user', () => world.guard.setEnabled(false, world.now)],
  ] as const)('%s: what is asked is cancelled, and nothing is asked', (reason, happen) => {
    settled(...only4);
    world.answers = () => undefined;
    world.do(() => world.prober.demand(world.now));
    world.do(happen);
    world.now = instant(world.now + 30_000);
    world.do(() => world.guard.handleTimeout(world.now));
    expect(world.reasons).toContain(reason);
    world.pass(1_000);
    const [at] = reason === 'stale' ? [30] : [0];
    const lines = world.log.filter((line) => line.startsWith(`${at} `) && !line.includes('4/'));
    expect(lines.slice(0, 2)).toEqual([`${at} done 2`, `${at} cancel`]);
    expect(world.log.filter((line) => Number(line.split(' ')[0]) > at)).toEqual([]);
    expect(world.prober.nextTimeout()).toBeUndefined();
  });

  it('everybody who waits for a probe is told, also for the one that was to come next', () => {
    settled(...only4);
    world.answers = () => undefined;
    world.do(() => world.prober.demand(world.now));
    world.do(() => expect(world.prober.demand(world.now)).toBe(3)).lose();
    expect(world.log).toEqual(['0 4/0', '0 done 3', '0 cancel']);
  });

  it('nothing is asked with the killswitch off either', () => {
    settled(only4[0], { killswitch: false });
    world.do(() => world.guard.handleIdentity(world.now)).pass(1_000);
    expect(world.asked()).toEqual([]);
  });

  it('a late answer of before is ignored', () => {
    settled(...only4);
    world.answers = () => undefined;
    world.do(() => world.prober.demand(world.now)).lose();
    world.do(() => world.reply(world.open[0]!, ELSEWHERE[4]));
    expect(world.facts.verdict).toBe('pending');
    expect(world.asked()).toEqual(['0 4/0', '0 cancel']);
  });
});

describe('what is learnt', () => {
  it('is the /24 and the /48 that two servers agree on, and is remembered (F21)', () => {
    settled();
    expect(world.facts.families).toMatchObject([
      { verdict: 'ok', observed: EXIT[4], expected: [LEARNT[0]] },
      { verdict: 'ok', observed: EXIT[6], expected: [LEARNT[1]] },
    ]);
    const learnt = world.remembered.at(-1)!;
    expect(settled({ egress: new Egress({ learnt }) }).facts.verdict).toBe('ok');
    expect(world.remembered).toEqual([]);
  });

  it('lets the exit rotate within it', () => {
    settled();
    world.answers = (family) => (family === 4 ? '203.0.113.99' : '2001:db8:203:ff::1');
    world.pass(300);
    expect(world.facts.verdict).toBe('ok');
    expect(world.reasons).toEqual([]);
  });

  it('is nothing if the servers disagree (leak plan 28)', () => {
    world.answers = (family, server) => (server === 0 ? ELSEWHERE[family] : EXIT[family]);
    world.handshake();
    expect(world.facts.families).toMatchObject([
      { verdict: 'unknown', problem: 'contradiction', expected: [] },
      { verdict: 'unknown', problem: 'contradiction', expected: [] },
    ]);
    expect(world.remembered).toEqual([]);
  });

  it('is nothing where addresses are configured', () => {
    const configured = [parsePrefix('203.0.113.10')!];
    settled({ egress: new Egress({ configured }), servers: { 4: 3, 6: 0 } });
    expect(world.facts.families).toMatchObject([{ verdict: 'ok', expected: ['203.0.113.10'] }]);
    expect(world.remembered).toEqual([]);
  });

  it('is nothing while any reason stands', () => {
    const leaks = [{ family: 6, observed: ELSEWHERE[6], expected: [], foundAtMs: 0 }] as const;
    world = new World({}, { memory: { leaks, unreadable: false } }).handshake();
    world.do(() => world.prober.handlePort(ip(EXIT[4]), world.now));
    expect(world.facts.families).toMatchObject([
      { family: 4, verdict: 'unknown', problem: 'nothing-expected', expected: [] },
      { family: 6, verdict: 'leak', expected: [] },
    ]);
    expect(world.remembered).toEqual([]);
  });

  it('is never an address of the host: two servers that see one have found a leak', () => {
    world.egress.setHostAddresses([ip(EXIT[4])]);
    world.handshake();
    world.do(() => world.prober.handlePort(ip(EXIT[4]), world.now));
    expect(world.reasons).toEqual(['leak']);
    expect(world.egress.expected(KEY, 4)).toEqual([]);
  });

  it('is of one server’s key only', () => {
    settled();
    world.do(() => world.prober.handleServer({ key: OTHER_KEY, families: [4] })).lose();
    world.answers = () => ELSEWHERE[4];
    world.handshake();
    expect(world.facts).toMatchObject({ verdict: 'ok', families: [{ expected: ['192.0.2.0/24'] }] });
  });
});

describe('the gateway’s own word (NAT-PMP)', () => {
  it('is waited for before the first probe, and learnt', () => {
    world.portAwaited = true;
    world.handshake().pass(2);
    expect(world.log).toEqual([]);
    expect(world.facts.nextInSeconds).toBe(6);
    world.do(() => world.prober.handlePort(ip(EXIT[4]), world.now));
    expect(world.asked().slice(0, 2)).toEqual(['2 4/0', '2 6/0']);
    expect(world.remembered[0]).toContain(LEARNT[0]);
  });

  it('is waited for at most eight seconds', () => {
    world.portAwaited = true;
    world.handshake().pass(8);
    expect(world.asked()[0]).toBe('8 4/0');
  });

  it('is not waited for by a person', () => {
    world.portAwaited = true;
    world.handshake().do(() => world.prober.demand(world.now));
    expect(world.asked()[0]).toBe('0 4/0');
  });

  it('makes an exit in a new network expected before a probe takes it for a leak (G4)', () => {
    settled(...only4).lose();
    world.portAwaited = true;
    world.answers = () => '198.51.100.4';
    world.handshake();
    world.do(() => world.prober.handlePort(ip('198.51.100.4'), world.now));
    expect(world.facts).toMatchObject({ verdict: 'ok' });
    expect(world.reasons).toEqual([]);
  });

  it('is taken in the middle of a round too', () => {
    world = new World(...only4);
    world.answers = (_, server) => (server === 0 ? EXIT[4] : undefined);
    world.handshake();
    world.do(() => world.prober.handlePort(ip(EXIT[4]), world.now));
    world.do(() => world.reply(world.open[0]!, EXIT[4]));
    expect(world.facts.verdict).toBe('ok');
  });
});

describe('a mismatch', () => {
  it('is confirmed by the second server at once, and the guard is engaged within the same turn (F19)', () => {
    settled().pass(200);
    world.answers = (family) => (family === 4 ? ELSEWHERE[4] : EXIT[6]);
    world.pass(100);
    expect(world.asked()).toEqual(['300 4/0', '300 6/0', '300 4/1']);
    expect(world.guard.policy).toMatchObject({ state: 'blocked', flow: 'probe', clients: 'pause' });
    expect(world.guard.memory.leaks).toEqual([
      { family: 4, observed: ELSEWHERE[4], expected: [LEARNT[0]], foundAtMs: 301_000 },
    ]);
    expect(world.facts).toMatchObject({
      verdict: 'leak',
      families: [
        { family: 4, verdict: 'leak', observed: ELSEWHERE[4], expected: [LEARNT[0]] },
        { family: 6, verdict: 'ok', observed: EXIT[6] },
      ],
    });
  });

  it('is told before the other family has an answer', () => {
    settled();
    world.answers = (family) => (family === 4 ? ELSEWHERE[4] : undefined);
    world.pass(300);
    expect(world.reasons).toEqual(['leak']);
    expect(world.log.some((line) => line.includes('done'))).toBe(false);
  });

  it('is confirmed by the same server if there is no other', () => {
    settled({ servers: { 4: 1, 6: 0 } });
    world.answers = () => ELSEWHERE[4];
    world.pass(300);
    expect(world.asked()).toEqual(['300 4/0', '300 4/0']);
    expect(world.reasons).toEqual(['leak']);
  });

  it('that a second server denies is unknown: neither leak nor ok (leak plan 28)', () => {
    settled(...only4);
    world.answers = (_, server) => (server === 0 ? ELSEWHERE[4] : EXIT[4]);
    world.pass(300);
    expect(world.reasons).toEqual([]);
    expect(world.facts).toMatchObject({ verdict: 'unknown', families: [{ problem: 'contradiction' }] });
  });

  it('goes on being probed, every minute; the first clean answer ends it', () => {
    settled(...only4);
    world.answers = () => ELSEWHERE[4];
    world.pass(450);
    expect(world.asked()).toEqual(['300 4/0', '300 4/1', '360 4/0', '360 4/1', '420 4/0', '420 4/1']);
    world.answers = () => EXIT[4];
    world.pass(30);
    expect(world.asked()).toEqual(['480 4/0']);
    expect(world.guard.policy).toMatchObject({ state: 'connected', clients: 'run' });
    world.pass(300);
    expect(world.asked()).toEqual(['780 4/0']);
  });

  it('is not ended by a probe that fails (F20)', () => {
    settled(...only4);
    world.answers = () => ELSEWHERE[4];
    world.pass(300);
    world.answers = () => 'no-connection';
    world.pass(600);
    expect(world.reasons).toEqual(['leak']);
    expect(world.facts).toMatchObject({ verdict: 'leak', families: [{ observed: ELSEWHERE[4] }] });
  });

  it('of one family is not ended by the other', () => {
    settled();
    world.answers = (family) => (family === 6 ? ELSEWHERE[6] : EXIT[4]);
    world.pass(1_000);
    expect(world.guard.memory.leaks.map(({ family }) => family)).toEqual([6]);
  });

  it('is written to disk once, not at every probe', () => {
    settled(...only4);
    world.answers = () => ELSEWHERE[4];
    world.pass(300);
    const { memory } = world.guard;
    world.pass(600);
    expect(world.guard.memory).toBe(memory);
  });

  it('survives a restart: the verdict is there before the first probe, which ends it if it is clean', () => {
    const leaks = [{ family: 4, observed: ELSEWHERE[4], expected: LEARNT, foundAtMs: 0 }] as const;
    const learnt = settled().remembered.at(-1)!;
    world = new World({ egress: new Egress({ learnt }) }, { memory: { leaks, unreadable: false } });
    expect(world.facts).toMatchObject({ verdict: 'leak', families: [{ observed: ELSEWHERE[4] }, {}] });
    world.handshake();
    expect(world.reasons).toEqual([]);
    expect(world.facts.verdict).toBe('ok');
  });

  it('of a family that is not probed any more stays one, until a person’s word', () => {
    const leaks = [{ family: 6, observed: ELSEWHERE[6], expected: [], foundAtMs: 0 }] as const;
    world = new World({}, { memory: { leaks, unreadable: false } }, [4]).handshake();
    expect(world.facts.verdict).toBe('leak');
    world.prober.accept();
    world.do(() => world.guard.accept(world.now)).do(() => world.prober.demand(world.now));
    expect(world.facts.verdict).toBe('ok');
  });

  it('only warns if that is wanted, and is told as a leak nevertheless', () => {
    settled(only4[0], { onMismatch: 'warn' });
    world.answers = () => ELSEWHERE[4];
    world.pass(700);
    expect(world.reasons).toEqual([]);
    expect(world.facts.verdict).toBe('leak');
    expect(world.log.filter((line) => line.includes('changed'))).toEqual(['300 exit-changed']);
    expect(world.asked()).toEqual(['300 4/0', '300 4/1', '600 4/0', '600 4/1']);
  });
});

describe('a failure', () => {
  it('is unknown, and tried again after 30 s, doubled up to the interval (F20)', () => {
    settled(...only4);
    world.answers = () => 'no-name';
    world.pass(300);
    expect(world.asked()).toEqual(['300 4/0', '300 4/1', '300 4/2']);
    expect(world.facts).toMatchObject({
      verdict: 'unknown',
      nextInSeconds: 30,
      families: [{ problem: 'no-name', failures: 1, observed: undefined, expected: [LEARNT[0]] }],
    });
    world.pass(1_400);
    const begun = world.asked().filter((line) => line.endsWith('4/0'));
    expect(begun).toEqual(['330 4/0', '390 4/0', '510 4/0', '750 4/0', '1050 4/0', '1350 4/0', '1650 4/0']);
    expect(world.reasons).toEqual([]);
  });

  it('is explained by what happened last, not by what happened before', () => {
    settled(...only4);
    world.answers = () => 'no-name';
    world.pass(300);
    world.answers = (_, server) => (server === 0 ? ELSEWHERE[4] : EXIT[4]);
    world.pass(30);
    expect(world.facts.families).toMatchObject([{ verdict: 'unknown', problem: 'contradiction', failures: 2 }]);
  });

  it('is never rarer than the interval', () => {
    settled({ intervalSeconds: 20, servers: { 4: 1, 6: 0 } });
    world.answers = () => 'not-200';
    world.pass(60);
    expect(world.asked()).toEqual(['20 4/0', '40 4/0', '60 4/0']);
  });

  it('of one family leaves the whole unknown, never ok: no IPv6 is not the same as a safe one (leak plan 11)', () => {
    world.answers = (family) => (family === 6 ? 'no-connection' : EXIT[4]);
    world.handshake();
    expect(world.facts).toMatchObject({
      verdict: 'unknown',
      families: [{ verdict: 'ok' }, { verdict: 'unknown', observed: undefined, expected: [] }],
    });
    world.answers = (family) => EXIT[family];
    world.pass(30);
    expect(world.facts.verdict).toBe('ok');
    expect(world.facts.nextInSeconds).toBe(300);
  });

  it('takes ten seconds at most for each server, which is cancelled exactly then', () => {
    settled(...only4);
    world.answers = (_, server) => (server === 2 ? EXIT[4] : undefined);
    world.pass(330);
    expect(world.asked()).toEqual(['300 4/0', '310 cancel', '310 4/1', '320 cancel', '320 4/2']);
    expect(world.facts.verdict).toBe('ok');
  });

  it.each([
    ['an empty body', '', 'empty'],
    ['a page', '<html>203.0.113.10</html>', 'not-an-address'],
    ['the other family', EXIT[6], 'wrong-family'],
    ['a private address', '192.168.1.7', 'not-public'],
    ['0.0.0.0', '0.0.0.0', 'not-public'],
    ['too much', ' '.repeat(4_097), 'too-long'],
  ])('%s is one', (_, said, problem) => {
    settled(...only4);
    world.answers = () => said;
    world.pass(300);
    expect(world.facts).toMatchObject({ verdict: 'unknown', families: [{ problem }] });
  });
});

describe('a person’s word', () => {
  it('adds what was seen to what is expected, is remembered, and makes the next probe clean', () => {
    settled();
    world.answers = (family) => ELSEWHERE[family];
    world.pass(300);
    expect(world.guard.memory.leaks).toHaveLength(2);
    world.prober.accept();
    world.do(() => world.guard.accept(world.now));
    expect(world.facts.verdict).toBe('pending');
    world.do(() => world.prober.demand(world.now));
    expect(world.facts).toMatchObject({
      verdict: 'ok',
      families: [{ expected: [LEARNT[0], '192.0.2.0/24'] }, { expected: [LEARNT[1], '2001:db8:bad::/48'] }],
    });
    expect(world.reasons).toEqual([]);
    const learnt = world.remembered.at(-1)!;
    expect(new Egress({ learnt }).judge(KEY, ip(ELSEWHERE[4]))).toBe('ok');
  });

  it('outweighs configured addresses', () => {
    settled({ egress: new Egress({ configured: [parsePrefix('203.0.113.10')!] }), servers: { 4: 2, 6: 0 } });
    world.answers = () => ELSEWHERE[4];
    world.pass(300);
    world.prober.accept();
    world.do(() => world.guard.accept(world.now)).pass(300);
    expect(world.facts).toMatchObject({ verdict: 'ok', families: [{ expected: ['203.0.113.10', '192.0.2.0/24'] }] });
  });

  it('is about what was seen before a restart too', () => {
    const leaks = [{ family: 4, observed: ELSEWHERE[4], expected: LEARNT, foundAtMs: 0 }] as const;
    world = new World({}, { memory: { leaks, unreadable: false } });
    world.prober.accept();
    world.do(() => world.guard.accept(world.now));
    world.answers = (family) => ELSEWHERE[family];
    world.handshake();
    expect(world.reasons).toEqual([]);
    expect(world.egress.judge(KEY, ip(ELSEWHERE[4]))).toBe('ok');
  });

  it('is about a mismatch that only warned', () => {
    settled(only4[0], { onMismatch: 'warn' });
    world.answers = () => ELSEWHERE[4];
    world.pass(300);
    world.do(() => world.prober.accept()).pass(300);
    expect(world.facts.verdict).toBe('ok');
  });
});

describe('a change of exit', () => {
  const changes = (): string[] => world.log.splice(0).filter((line) => line.includes('exit-changed'));

  it('is told, also within what is expected: what was open is dead', () => {
    settled(...only4);
    world.answers = () => '203.0.113.11';
    world.pass(300);
    expect(changes()).toEqual(['300 exit-changed']);
    world.pass(600);
    expect(changes()).toEqual([]);
  });

  it('is told when both families are done: what follows would end the other question', () => {
    settled();
    world.answers = (family) => (family === 4 ? '203.0.113.11' : undefined);
    world.pass(300);
    expect(changes()).toEqual([]);
    world.do(() => world.reply(world.open.at(-1)!, EXIT[6]));
    expect(world.log.splice(0)).toEqual(['300 exit-changed', '300 done 2']);
    expect(world.facts.verdict).toBe('ok');
  });

  it('is told after an outage that ends elsewhere, also where it was before', () => {
    settled(...only4);
    for (const [exit, told] of [
      ['203.0.113.11', 1],
      ['203.0.113.10', 1],
      ['203.0.113.10', 0],
    ] as const) {
      world.lose();
      world.answers = () => exit;
      world.handshake();
      expect(changes()).toHaveLength(told);
    }
  });

  it('is none when a provider shows its exits in turn', () => {
    settled(...only4);
    let turn = 0;
    world.answers = () => `203.0.113.${10 + (turn++ % 3)}`;
    world.pass(3_000);
    expect(changes()).toHaveLength(2);
  });

  it('of another server is not a change: nothing of before is left', () => {
    settled(...only4);
    world.do(() => world.prober.handleServer({ key: OTHER_KEY, families: [4] })).lose();
    world.answers = () => ELSEWHERE[4];
    world.handshake();
    expect(changes()).toEqual([]);
  });
});

describe('the machine contract', () => {
  it('keeps the four laws', () => {
    checkLaws({
      seeds: 20,
      samples: [bytes(EXIT[4]), bytes(EXIT[6]), bytes(ELSEWHERE[4])],
      create: () => {
        const guard = new Guard();
        const settings = { egress: new Egress({}), servers: { 4: 2, 6: 2 }, wallMs: () => 0 };
        const prober = new Prober(settings, guard, { key: KEY, families: [4, 6] });
        const open: number[] = [];
        return {
          handleBytes: (body, now) => prober.handleAnswer(open.shift() ?? 0, body, now),
          handleTimeout: (now) => prober.handleTimeout(now),
          nextTimeout: () => prober.nextTimeout(),
          nextOutput: () => {
            const output = prober.nextOutput();
            if (output?.kind === 'ask') open.push(output.number);
            return output;
          },
          act: (choice, now) => {
            if (choice % 5 === 0) guard.handleHandshake(now);
            else if (choice % 5 === 1) guard.handleIdentity(now);
            else if (choice % 5 === 2) prober.demand(now);
            else if (choice % 5 === 3) prober.handlePort(ip(EXIT[4]), now);
            else prober.accept();
            prober.handleGuard(choice % 2 === 0, now);
          },
        };
      },
    });
  });
});
