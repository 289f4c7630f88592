/**
 * Everything a gateway can do wrong, from the first question on and from the first renewal on, with the moment of every datagram and
 * of every word to the owner. Pauses without their random part, so that each moment is exact.
 */
import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import type { Random } from '../../../src/core/base/crypto.ts';
import { encodeNatPmpResponse } from '../../../src/core/wire/natpmp.ts';
import { GATEWAY, Rig } from './rig.ts';

/** Draws the middle of every range. */
const middle: Random = {
  fill: (target) => target.fill(0).fill(0x80, 3),
};

/** RFC 6886 §3.1: again after 250 ms, doubling, for the 8 s of a round. */
const REPEATS = [0, 0.25, 0.75, 1.75, 3.75, 7.75];
/** Rounds of 8 s in vain, and between them 5 s, doubling to a minute. */
const ROUNDS = [0, 13, 31, 59, 107, 175, 243];
/** Rounds that are refused at once. */
const REFUSED_ROUNDS = [0, 5, 15, 35, 75, 135, 195];

type Break = (rig: Rig) => void;

/** The gateway's every answer is made into other bytes. */
function garble(change: (bytes: Uint8Array) => Uint8Array | undefined): Break {
  return ({ gateway }) => {
    const answer = gateway.answer.bind(gateway);
    gateway.answer = (request, sinceMs) => {
      const response = answer(request, sinceMs);
      return response && change(response instanceof Uint8Array ? response : encodeNatPmpResponse(response));
    };
  };
}

function cutTo(length: number): Break {
  return garble((bytes) => {
    const cut = new Uint8Array(length);
    cut.set(bytes.subarray(0, length));
    return cut;
  });
}

/** What is never an answer: all of these look like silence. */
const LIKE_SILENCE: Readonly<Record<string, Break>> = {
  'is silent': ({ gateway }) => {
    gateway.silent = true;
  },
  'answers from another address': (rig) => {
    rig.from = { address: ip('10.2.0.9'), port: 5351 };
  },
  'answers from another port': (rig) => {
    rig.from = { address: GATEWAY, port: 5352 };
  },
  'answers in another version': garble((bytes) => bytes.with(0, 2)),
  'sends requests back': garble((bytes) => bytes.with(1, bytes[1]! & 127)),
  'answers another operation': garble((bytes) => bytes.with(1, 130)),
  'answers with noise': garble((bytes) => bytes.map((_, i) => 37 * i + 1)),
};

/** The external address is told, the port never. */
const LIKE_SILENCE_ABOUT_PORTS: Readonly<Record<string, Break>> = {
  'tells its address alone': ({ gateway }) => {
    gateway.map = () => 'silent';
  },
  'answers about another internal port': ({ gateway }) => {
    gateway.map = ({ internalPort }) => ({ internalPort: internalPort + 1 });
  },
  'answers about the other protocol': ({ gateway }) => {
    gateway.map = ({ protocol }) => ({ protocol: protocol === 'udp' ? 'tcp' : 'udp' });
  },
  'answers as to a deletion': ({ gateway }) => {
    gateway.map = () => ({ externalPort: 0, lifetimeSeconds: 0 });
  },
};

/** A plain no, at once, with the code that says why. */
const REFUSALS: Readonly<Record<string, readonly [Break, string]>> = {
  'refuses (2)': [({ gateway }) => void (gateway.result = 2), 'ERR_PORT_FORWARD_REFUSED'],
  'has no network (3)': [({ gateway }) => void (gateway.result = 3), 'ERR_PORT_FORWARD_GATEWAY'],
  'has no port left (4)': [({ gateway }) => void (gateway.result = 4), 'ERR_PORT_FORWARD_FULL'],
};

/** A yes that is none, or a port that does not hold, at once. */
const LIES: Readonly<Record<string, Break>> = {
  'grants port 0': ({ gateway }) => {
    gateway.map = () => ({ externalPort: 0 });
  },
  'grants no time': ({ gateway }) => {
    gateway.map = () => ({ lifetimeSeconds: 0 });
  },
  'holds different ports for UDP and TCP': ({ gateway }) => {
    gateway.map = ({ protocol }) => ({ externalPort: protocol === 'tcp' ? 51_000 : 50_000 });
  },
};

function fresh(fault: Break): Rig {
  const rig = new Rig({ random: middle });
  fault(rig);
  return rig.start();
}

/** Mapped at 0 s; the fault begins at 1 s. */
function mapped(fault: Break): Rig {
  const rig = new Rig({ random: middle }).start().until(1);
  rig.take(rig.sent);
  rig.take(rig.told);
  fault(rig);
  return rig;
}

const at = (moments: readonly number[], what: string): string[] => moments.map((moment) => `${moment} ${what}`);
const failed = (moments: readonly number[], code: string): string[] => at(moments, `failed ${code}`);
/** The rounds with their repeats. */
const asked = (rounds: readonly number[], what: string): string[] =>
  rounds.flatMap((round) =>
    at(
      REPEATS.map((repeat) => round + repeat),
      what,
    ),
  );
/** When something was sent, each moment once. */
const moments = (sent: readonly string[]): number[] => [...new Set(sent.map((line) => Number.parseFloat(line)))];

describe('a gateway by the book', () => {
  it('is asked every 45 s, at that very moment, for a day, and nobody hears of it', () => {
    const rig = fresh(() => {}).until(86_400);
    expect(moments(rig.sent)).toEqual(Array.from({ length: 1_921 }, (_, i) => 45 * i));
    expect(rig.sent).toHaveLength(3 * 1_921);
    expect(rig.told).toEqual(['0 mapped 50000 at 203.0.113.10 for 60', '0 served 50000>6881']);
  });
});

describe.each(Object.entries(LIKE_SILENCE))('a gateway that %s', (_, fault) => {
  it('is asked six times in 8 s, then after 5, 10, 20, 40 and 60 s', () => {
    const rig = fresh(fault).until(242);
    expect(rig.sent).toEqual(asked(ROUNDS.slice(0, -1), 'address'));
    expect(rig.told).toEqual(
      failed(
        ROUNDS.slice(0, -1).map((round) => round + 8),
        'ERR_PORT_FORWARD_SILENT',
      ),
    );
    expect(moments(rig.take(rig.until(243).sent)).at(-1)).toBe(243);
  });

  it('loses the port at 60 s, not a moment sooner, and is asked on', () => {
    const rig = mapped(fault).until(59.999);
    expect(rig.take(rig.sent)).toEqual(at([45, 45.25, 45.75, 46.75, 48.75, 52.75, 53.25, 53.5, 54, 55, 57], 'address'));
    expect(rig.told).toEqual([]);
    rig.until(82);
    expect(rig.told).toEqual([
      '60 lost ERR_PORT_FORWARD_SILENT',
      '60 failed ERR_PORT_FORWARD_SILENT',
      '60 served nothing',
      '73 failed ERR_PORT_FORWARD_SILENT',
    ]);
    expect(rig.sent).toEqual(asked([65], 'address'));
  });
});

describe.each(Object.entries(LIKE_SILENCE_ABOUT_PORTS))('a gateway that %s', (_, fault) => {
  it('is asked for the port six times in 8 s, then after 5, 10, 20, 40 and 60 s', () => {
    const rig = fresh(fault).until(242);
    const rounds = ROUNDS.slice(0, -1);
    expect(rig.sent).toEqual(rounds.flatMap((round) => [`${round} address`, ...asked([round], 'udp 6881>0 60')]));
    expect(rig.told).toEqual(
      failed(
        rounds.map((round) => round + 8),
        'ERR_PORT_FORWARD_SILENT',
      ),
    );
  });

  it('loses the port at 60 s, and is asked for the same one on', () => {
    const rig = mapped(fault).until(59.999);
    const renewal = (moments: readonly number[]): string[] => at(moments, 'udp 6881>50000 60');
    expect(rig.take(rig.sent)).toEqual([
      '45 address',
      ...renewal([45, 45.25, 45.75, 46.75, 48.75, 52.75]),
      '53.25 address',
      ...renewal([53.25, 53.5, 54, 55, 57]),
    ]);
    expect(rig.told).toEqual([]);
    rig.until(72.9);
    expect(rig.told).toEqual([
      '60 lost ERR_PORT_FORWARD_SILENT',
      '60 failed ERR_PORT_FORWARD_SILENT',
      '60 served nothing',
    ]);
    expect(rig.sent).toEqual(['65 address', ...asked([65], 'udp 6881>50000 60')]);
  });
});

describe.each(Object.entries(REFUSALS))('a gateway that %s', (_, [fault, code]) => {
  it('is asked again after 5, 10, 20, 40 and 60 s', () => {
    const rig = fresh(fault).until(194);
    expect(rig.sent).toEqual(at(REFUSED_ROUNDS.slice(0, -1), 'address'));
    expect(rig.told).toEqual(failed(REFUSED_ROUNDS.slice(0, -1), code));
    expect(rig.until(195).sent.at(-1)).toBe('195 address');
  });

  it('keeps the port until 60 s, asked after 250 ms, doubling to 4 s; then the pauses begin anew', () => {
    const rig = mapped(fault).until(81);
    expect(rig.sent).toEqual(at([45, 45.25, 45.75, 46.75, 48.75, 52.75, 56.75, 60.75, 65.75, 75.75], 'address'));
    expect(rig.told).toEqual([`60 lost ${code}`, '60 served nothing', ...failed([60.75, 65.75, 75.75], code)]);
  });
});

describe.each(Object.entries(LIES))('a gateway that %s', (_, fault) => {
  it('is not believed: asked again after 5, 10, 20, 40 and 60 s', () => {
    const rig = fresh(fault).until(195);
    expect(moments(rig.sent)).toEqual(REFUSED_ROUNDS);
    expect(rig.told).toEqual(failed(REFUSED_ROUNDS, 'ERR_PORT_FORWARD_GATEWAY'));
  });

  it('keeps the port until its own lease ends at 60 s', () => {
    const rig = mapped(fault).until(62);
    expect(moments(rig.sent)).toEqual([45, 45.25, 45.75, 46.75, 48.75, 52.75, 56.75, 60.75]);
    expect(rig.told).toEqual([
      '60 lost ERR_PORT_FORWARD_GATEWAY',
      '60 served nothing',
      '60.75 failed ERR_PORT_FORWARD_GATEWAY',
    ]);
  });
});

describe('a gateway whose every answer has another length', () => {
  const lengths = Array.from({ length: 65 }, (_, length) => length);

  it.each(lengths.filter((length) => length < 12))('%i bytes: no answer at all', (length) => {
    const rig = fresh(cutTo(length)).until(21);
    expect(rig.sent).toEqual(asked([0, 13], 'address'));
    expect(rig.told).toEqual(failed([8, 21], 'ERR_PORT_FORWARD_SILENT'));
    expect(rig.lease.drops.toJSON()).toEqual({ 'natpmp-truncated': 12 });
  });

  it.each(lengths.filter((length) => length >= 12 && length < 16))('%i bytes: an address and no port', (length) => {
    const rig = fresh(cutTo(length)).until(12);
    expect(rig.sent).toEqual(['0 address', ...asked([0], 'udp 6881>0 60')]);
    expect(rig.told).toEqual(failed([8], 'ERR_PORT_FORWARD_SILENT'));
    expect(rig.lease.drops.toJSON()).toEqual({ 'natpmp-truncated': 6 });
  });

  it.each(lengths.filter((length) => length >= 16))(
    '%i bytes: an answer, and what is behind it is not read',
    (length) => {
      const rig = fresh(cutTo(length)).until(45);
      expect(moments(rig.sent)).toEqual([0, 45]);
      expect(rig.told).toEqual(['0 mapped 50000 at 203.0.113.10 for 60', '0 served 50000>6881']);
      expect(rig.lease.drops.toJSON()).toEqual({});
    },
  );

  it.each(lengths)('%i bytes from the first renewal on: the port lives to 60 s, or for good', (length) => {
    const rig = mapped(cutTo(length)).until(60);
    if (length >= 16) expect([moments(rig.sent), rig.told]).toEqual([[45], []]);
    else {
      expect(moments(rig.sent)).toEqual([45, 45.25, 45.75, 46.75, 48.75, 52.75, 53.25, 53.5, 54, 55, 57]);
      expect(rig.told[0]).toBe('60 lost ERR_PORT_FORWARD_SILENT');
    }
  });
});

describe('a gateway that starts again', () => {
  /** At 20 s it forgets; its clock then says 5 s at the renewal. */
  const restarted: Break = ({ gateway }) => {
    gateway.epoch = -40;
  };

  it('is seen at the renewal, 45 s: the port is asked for anew in the same round', () => {
    const rig = mapped(restarted).until(90);
    expect(rig.sent).toEqual([
      ...['address', 'udp 6881>50000 60', 'tcp 6881>50000 60'].map((what) => `45 ${what}`),
      ...['address', 'udp 6881>50000 60', 'tcp 6881>50000 60'].map((what) => `90 ${what}`),
    ]);
    expect(rig.told).toEqual([]);
  });

  it('and then has no port left: lost at 45 s, fifteen before the lease would have ended, asked again at 50 s', () => {
    const rig = mapped((broken) => {
      restarted(broken);
      broken.gateway.map = () => ({ result: 4, externalPort: 0, lifetimeSeconds: 0 });
    }).until(50);
    expect(rig.told).toEqual([
      '45 lost ERR_PORT_FORWARD_FULL',
      '45 served nothing',
      ...failed([45, 50], 'ERR_PORT_FORWARD_FULL'),
    ]);
    expect(moments(rig.sent)).toEqual([45, 50]);
  });
});
