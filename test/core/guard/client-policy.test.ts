/** Transfers follow the killswitch, and persons win (F16, F17, G3, G13). */
import { beforeEach, describe, expect, it } from 'vitest';
import { type Instant, instant } from '../../../src/core/base/instant.ts';
import {
  ClientPolicy,
  type MarkerPhase,
  restoreMarkers,
  serialiseMarkers,
} from '../../../src/core/guard/client-policy.ts';

let now: Instant;
let policy: ClientPolicy;

beforeEach(() => {
  now = instant(0);
  policy = new ClientPolicy();
});

/** The latest command of each transfer. */
const numbers = new Map<string, number>();

/** What is told the client, `pause a`; writing the markers is `save`. */
function said(): string[] {
  const told: string[] = [];
  for (let output = policy.nextOutput(); output; output = policy.nextOutput()) {
    if (output.kind !== 'remember') numbers.set(output.transfer, output.number);
    told.push(output.kind === 'remember' ? 'save' : `${output.kind} ${output.transfer}`);
  }
  return told;
}

function done(id: string, succeeded: boolean): void {
  policy.handleDone(id, numbers.get(id)!, succeeded, now);
}

/** The same, and the client does it. */
function obeyed(): string[] {
  const told = said();
  for (const command of told) if (command !== 'save') done(command.split(' ')[1]!, true);
  return [...told, ...said()];
}

function engaged(...running: string[]): void {
  policy.handleOrder('run', now);
  for (const id of running) policy.handleTransfer(id, true, now);
  policy.handleOrder('pause', now);
  obeyed();
}

const marked = (): string[] => [...policy.markers].map(([id, phase]) => `${id} ${phase}`);

describe('on engage', () => {
  it('marks and pauses every running transfer, seeding and queued ones too, and no other (G3)', () => {
    policy.handleOrder('run', now);
    for (const id of ['downloading', 'seeding', 'queued']) policy.handleTransfer(id, true, now);
    policy.handleTransfer('paused by a person', false, now);
    policy.handleOrder('pause', now);
    expect(said()).toEqual(['save', 'pause downloading', 'pause seeding', 'pause queued']);
  });

  it('writes the markers before it pauses, so that a crash in between forgets nothing', () => {
    policy.handleTransfer('a', true, now);
    policy.handleOrder('pause', now);
    expect(policy.nextOutput()).toEqual({ kind: 'remember', markers: new Map([['a', 'pausing']]) });
    expect(policy.nextOutput()).toMatchObject({ kind: 'pause', transfer: 'a' });
  });

  it('pauses what is added or started while it lasts: nothing slips in (G3)', () => {
    engaged('a');
    policy.handleTransfer('new', true, now);
    policy.handleTransfer('waiting', false, now);
    policy.handleTransfer('waiting', true, now);
    expect(obeyed()).toContain('pause new');
    expect(marked()).toEqual(['a paused', 'new paused', 'waiting paused']);
  });

  it('says a pause that failed again, and never takes it for done (G13)', () => {
    policy.handleTransfer('a', true, now);
    policy.handleOrder('pause', now);
    for (const wait of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      expect(said()).toContain('pause a');
      done('a', false);
      expect(marked()).toEqual(['a pausing']);
      expect(policy.nextTimeout()).toBe(now + wait);
      now = policy.nextTimeout()!;
      policy.handleTimeout(now);
    }
  });

  it('takes a command without an answer for failed after 30 s', () => {
    policy.handleTransfer('a', true, now);
    policy.handleOrder('pause', now);
    said();
    now = policy.nextTimeout()!;
    expect(now).toBe(30_000);
    policy.handleTimeout(now);
    policy.handleTimeout((now = policy.nextTimeout()!));
    expect(said()).toEqual(['pause a']);
  });
});

describe('an answer that comes late', () => {
  it('to a command that was given up is not taken for that to the next one', () => {
    policy.handleTransfer('a', true, now);
    policy.handleOrder('pause', now);
    said();
    const late = numbers.get('a')!;
    policy.handleTimeout((now = policy.nextTimeout()!));
    policy.handleOrder('run', now);
    expect(said()).toEqual(['save', 'resume a']);
    policy.handleDone('a', late, true, now);
    expect(marked()).toEqual(['a resuming']);
    done('a', true);
    expect(marked()).toEqual([]);
  });
});

describe('on release', () => {
  it('resumes exactly the marked ones, at once (F17)', () => {
    policy.handleTransfer('by hand', false, now);
    engaged('a', 'b');
    policy.handleOrder('run', now);
    expect(obeyed().filter((command) => command !== 'save')).toEqual(['resume a', 'resume b']);
    expect(marked()).toEqual([]);
    expect(policy.nextTimeout()).toBeUndefined();
  });

  it('keeps the marker until the client has resumed, and says it again if it failed', () => {
    engaged('a');
    policy.handleOrder('run', now);
    expect(said()).toEqual(['save', 'resume a']);
    done('a', false);
    expect(marked()).toEqual(['a resuming']);
    policy.handleTimeout((now = policy.nextTimeout()!));
    expect(obeyed()).toEqual(['resume a', 'save']);
    expect(marked()).toEqual([]);
  });

  it('takes back a resume that was not sent yet, when a reason stands again', () => {
    engaged('a');
    policy.handleOrder('run', now);
    policy.handleOrder('pause', now);
    expect(said().filter((command) => command.startsWith('resume'))).toEqual([]);
    policy.handleOrder('run', now);
    policy.handleOrder('leave', now);
    expect(said().filter((command) => command.startsWith('resume'))).toEqual([]);
  });

  it('pauses again, as soon as the client has answered, what it was told to resume before', () => {
    engaged('a');
    policy.handleOrder('run', now);
    said();
    policy.handleOrder('pause', now);
    done('a', true);
    expect(said()).toContain('pause a');
  });

  it('does not wait for the patience of earlier failures', () => {
    policy.handleTransfer('a', true, now);
    policy.handleOrder('pause', now);
    said();
    done('a', false);
    policy.handleOrder('run', now);
    expect(said()).toContain('resume a');
  });

  it('does nothing on "leave": neither pauses nor resumes', () => {
    engaged('a');
    policy.handleOrder('leave', now);
    policy.handleTransfer('b', true, now);
    expect(said()).toEqual([]);
    expect(marked()).toEqual(['a paused']);
  });
});

describe('a person', () => {
  it('who pauses a marked transfer keeps it paused after the release (G13)', () => {
    engaged('a', 'b');
    policy.handlePerson('a', 'pause', now);
    policy.handleOrder('run', now);
    expect(obeyed().filter((command) => command !== 'save')).toEqual(['resume b']);
  });

  it('who resumes a marked transfer has it left alone until the release, and leaves no marker behind (G13)', () => {
    engaged('a');
    policy.handlePerson('a', 'resume', now);
    policy.handleTransfer('a', true, now);
    policy.handleOrder('pause', now);
    expect(obeyed()).toEqual(['save']);
    policy.handleOrder('run', now);
    policy.handlePerson('a', 'pause', now);
    engaged();
    policy.handleOrder('run', now);
    expect(obeyed()).toEqual([]);
  });

  it('who resumed one has it paused the next time the killswitch engages', () => {
    engaged('a');
    policy.handlePerson('a', 'resume', now);
    policy.handleOrder('run', now);
    policy.handleOrder('pause', now);
    expect(obeyed()).toContain('pause a');
  });

  it('who resumes it in the client itself is recognised there', () => {
    engaged('a');
    policy.handleTransfer('a', true, now);
    expect(said()).toEqual(['save']);
    expect(marked()).toEqual([]);
  });

  it('who pauses while our resume is on its way is not overruled by a second one', () => {
    engaged('a');
    policy.handleOrder('run', now);
    said();
    policy.handlePerson('a', 'pause', now);
    done('a', false);
    expect(said()).toEqual(['save']);
    expect(policy.nextTimeout()).toBeUndefined();
  });

  it('who removes it has no more to do with us', () => {
    engaged('a');
    policy.handleRemoved('a');
    expect(marked()).toEqual([]);
    policy.handleOrder('run', now);
    expect(said()).toEqual(['save']);
  });
});

describe('after a restart', () => {
  const restart = (): void => {
    policy = new ClientPolicy(restoreMarkers(serialiseMarkers(policy.markers)));
  };

  it('marked transfers resume when the client has said that they are there', () => {
    engaged('a');
    restart();
    policy.handleOrder('run', now);
    expect(said()).toEqual([]);
    policy.handleTransfer('a', false, now);
    policy.handleTransfer('b', false, now);
    expect(obeyed()).toEqual(['save', 'resume a', 'save']);
  });

  it('in the middle of pausing, those that still run are paused', () => {
    policy.handleTransfer('a', true, now);
    policy.handleOrder('pause', now);
    said();
    restart();
    policy.handleTransfer('a', true, now);
    policy.handleOrder('pause', now);
    expect(said()).toEqual(['pause a']);
  });

  it('in the middle of resuming, those that run already are done', () => {
    engaged('a');
    policy.handleOrder('run', now);
    said();
    restart();
    policy.handleTransfer('a', true, now);
    expect(marked()).toEqual([]);
    expect(said()).toEqual(['save']);
  });

  it('a file that cannot be read marks nothing: no transfer is resumed that we do not know to be ours', () => {
    for (const text of [
      undefined,
      '',
      '[]',
      '{"version":1}',
      '{"version":1,"paused":[1,["a"],["a","x"],[1,"paused"]]}',
    ])
      expect(restoreMarkers(text).size).toBe(0);
  });

  it('every phase survives as text', () => {
    const markers = new Map<string, MarkerPhase>([
      ['a', 'pausing'],
      ['b', 'paused'],
      ['"quoted"\n', 'resuming'],
    ]);
    expect(restoreMarkers(serialiseMarkers(markers))).toEqual(markers);
  });

  it('a transfer that its client got anew and that runs was not resumed by a person against the killswitch', () => {
    engaged('a');
    restart();
    policy.handleAdded('a', true, now);
    expect(said()).toEqual(['save']);
    expect(marked()).toEqual([]);
    policy.handleOrder('pause', now);
    expect(obeyed()).toEqual(['save', 'pause a', 'save']);
  });

  it('a transfer that is added running while the killswitch is engaged is paused again and stays marked', () => {
    engaged('a');
    restart();
    policy.handleOrder('pause', now);
    policy.handleAdded('a', true, now);
    expect(said()).toEqual(['save', 'pause a']);
    expect(marked()).toEqual(['a pausing']);
  });

  it('a marked transfer that is added paused resumes when the killswitch releases', () => {
    engaged('a');
    restart();
    policy.handleAdded('a', false, now);
    expect(said()).toEqual([]);
    policy.handleOrder('run', now);
    expect(said()).toEqual(['save', 'resume a']);
  });
});

describe('a client that leaves', () => {
  it('is told nothing more, and its markers stay for when it comes back', () => {
    engaged('a', 'b');
    policy.handleOrder('run', now);
    policy.forget('a');
    expect(said()).toEqual(['save', 'resume b']);
    expect(marked()).toEqual(['a resuming', 'b resuming']);
    done('b', true);
    policy.handleTransfer('a', false, now);
    expect(said()).toContain('resume a');
  });

  it('is not waited for', () => {
    policy.handleTransfer('a', true, now);
    policy.handleOrder('pause', now);
    said();
    policy.forget('a');
    done('a', false);
    expect(policy.nextTimeout()).toBeUndefined();
  });
});

describe('what fails', () => {
  it('is told until it has succeeded, or is not wanted any more', () => {
    policy.handleTransfer('a', true, now);
    policy.handleTransfer('b', true, now);
    policy.handleOrder('pause', now);
    said();
    done('a', false);
    done('b', true);
    expect(policy.failing).toEqual(['a']);
    policy.handleTimeout((now = policy.nextTimeout()!));
    expect(policy.failing).toEqual(['a']);
    said();
    done('a', true);
    expect(policy.failing).toEqual([]);
  });
});
