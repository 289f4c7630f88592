import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { GATEWAY, Rig } from './rig.ts';

const RENEWAL = ['45 address', '45 udp 6881>50000 60', '45 tcp 6881>50000 60'];

/** A lease that has been mapped at 0 s; what was noted until then is gone. */
function mapped(options: ConstructorParameters<typeof Rig>[0] = {}): Rig {
  const rig = new Rig(options).start();
  expect(rig.facts.state).toBe('mapped');
  rig.take(rig.sent);
  rig.take(rig.told);
  return rig;
}

describe('renewing a lease', () => {
  it('begins after 45 s, asks for the port held, and announces nothing (F10)', () => {
    const rig = mapped().until(44.999);
    expect(rig.sent).toEqual([]);
    rig.until(45);
    expect(rig.take(rig.sent)).toEqual(RENEWAL);
    rig.until(90);
    expect(rig.sent.map((line) => line.split(' ')[0])).toEqual(['90', '90', '90']);
    expect(rig.told).toEqual([]);
    expect(rig.facts.renewInSeconds).toBe(45);
  });

  it('begins at three quarters of what was granted, if that is earlier', () => {
    const rig = new Rig();
    rig.gateway.seconds = 20;
    rig.start();
    rig.take(rig.sent);
    rig.until(14.999);
    expect(rig.sent).toEqual([]);
    expect(rig.until(15).sent).toHaveLength(3);
    expect(rig.facts).toMatchObject({ leaseSeconds: 20, renewInSeconds: 15 });
  });

  it('obeys the shorter of two lifetimes, and a shorter refreshSeconds', () => {
    const rig = new Rig();
    rig.gateway.map = ({ protocol }) => ({ lifetimeSeconds: protocol === 'udp' ? 60 : 8 });
    rig.start();
    expect(rig.facts).toMatchObject({ leaseSeconds: 8, renewInSeconds: 6 });
    expect(mapped({ refreshSeconds: 30 }).facts.renewInSeconds).toBe(30);
  });

  it('believes no lease longer than two hours', () => {
    const rig = new Rig();
    rig.gateway.seconds = 0xffff_ffff;
    rig.start();
    expect(rig.facts).toMatchObject({ leaseSeconds: 7_200, renewInSeconds: 45 });
    rig.gateway.silent = true;
    rig.until(7_200);
    expect(rig.facts.state).toBe('failed');
  });

  it('does not hammer a gateway that grants one second at a time', () => {
    const rig = new Rig();
    rig.gateway.seconds = 1;
    rig.start().until(60);
    expect(rig.sent.length).toBeLessThanOrEqual(3 * 81);
    expect(rig.told).toEqual(['0 mapped 50000 at 203.0.113.10 for 1', '0 served 50000>6881']);
  });

  it('tells of another exit address, with the same port', () => {
    const rig = mapped();
    rig.gateway.address = ip('203.0.113.11');
    rig.until(45);
    expect(rig.told).toEqual(['45 mapped 50000 at 203.0.113.11 for 60']);
  });

  it('counts a lease from when the gateway was first asked, not from its answer', () => {
    const rig = new Rig();
    rig.gateway.map = ({ protocol }) => (protocol === 'udp' ? {} : 'silent');
    rig.start().until(2);
    rig.receive({
      kind: 'map',
      protocol: 'tcp',
      result: 0,
      epochSeconds: 1_002,
      internalPort: 6881,
      externalPort: 50_000,
      lifetimeSeconds: 60,
    });
    expect(rig.facts.renewInSeconds).toBe(43);
    rig.gateway.silent = true;
    rig.take(rig.told);
    expect(rig.until(60).told).toEqual([
      '60 lost ERR_PORT_FORWARD_SILENT',
      '60 failed ERR_PORT_FORWARD_SILENT',
      '60 served nothing',
    ]);
  });
});

describe('hysteresis: what goes wrong once', () => {
  it('a lost renewal is retransmitted, and nobody hears of it', () => {
    const rig = mapped();
    rig.gateway.silent = true;
    rig.until(45.5);
    rig.gateway.silent = false;
    rig.until(46);
    expect(rig.sent).toEqual([
      '45 address',
      '45.25 address',
      '45.75 address',
      '45.75 udp 6881>50000 60',
      '45.75 tcp 6881>50000 60',
    ]);
    expect(rig.told).toEqual([]);
    expect(rig.facts.renewInSeconds).toBe(45);
  });

  it('a whole lost round is repeated at once, within the lease, until its very end', () => {
    const rig = mapped();
    rig.gateway.silent = true;
    rig.until(59.999);
    const first = [45, 45.25, 45.75, 46.75, 48.75, 52.75];
    const second = [53.25, 53.5, 54, 55, 57];
    expect(rig.sent).toEqual([...first, ...second].map((at) => `${at} address`));
    expect(rig.told).toEqual([]);
    expect(rig.facts).toMatchObject({
      state: 'mapped',
      port: 50_000,
      renewInSeconds: 0,
      reason: { code: 'ERR_PORT_FORWARD_SILENT' },
    });
    rig.until(60);
    expect(rig.told).toEqual([
      '60 lost ERR_PORT_FORWARD_SILENT',
      '60 failed ERR_PORT_FORWARD_SILENT',
      '60 served nothing',
    ]);
    expect(rig.facts).toMatchObject({ state: 'failed', protocols: [] });
  });

  it('asks for the lost port again when the gateway is back', () => {
    const rig = mapped();
    rig.gateway.silent = true;
    rig.until(60);
    rig.gateway.silent = false;
    rig.take(rig.told);
    rig.until(67);
    expect(rig.sent.at(-2)).toMatch(/udp 6881>50000 60$/);
    expect(rig.told.map((line) => line.split(' ').slice(1).join(' '))).toEqual([
      'mapped 50000 at 203.0.113.10 for 60',
      'served 50000>6881',
    ]);
  });

  it('a renewal refused is repeated after 250 ms, doubling to 4 s, and the port lives until its end', () => {
    const rig = mapped();
    rig.gateway.result = 2;
    rig.until(59.999);
    expect(rig.sent).toEqual([45, 45.25, 45.75, 46.75, 48.75, 52.75, 56.75].map((at) => `${at} address`));
    expect(rig.told).toEqual([]);
    rig.until(60);
    expect(rig.told).toEqual(['60 lost ERR_PORT_FORWARD_REFUSED', '60 served nothing']);
    expect(rig.facts).toMatchObject({ state: 'failed', reason: { code: 'ERR_PORT_FORWARD_REFUSED' } });
  });

  it('another port, answered once, is asked about again and forgotten', () => {
    const rig = mapped();
    rig.gateway.map = (_, count) => (count === 2 ? { externalPort: 51_000 } : {});
    rig.until(45);
    expect(rig.sent).toEqual(['45 address', '45 udp 6881>50000 60', '45 udp 6881>50000 60', '45 tcp 6881>50000 60']);
    expect(rig.told).toEqual([]);
    expect(rig.facts.port).toBe(50_000);
  });
});

describe('a port that changes', () => {
  it('is announced once the gateway has said so twice, and TCP agrees; both are served until the old lease ends (F11)', () => {
    const rig = mapped();
    rig.gateway.port = 51_000;
    rig.until(45);
    expect(rig.sent).toEqual(['45 address', '45 udp 6881>50000 60', '45 udp 6881>50000 60', '45 tcp 6881>51000 60']);
    expect(rig.take(rig.told)).toEqual(['45 mapped 51000 at 203.0.113.10 for 60', '45 served 51000>6881 50000>6881']);
    rig.until(60);
    expect(rig.told).toEqual(['60 served 51000>6881']);
  });

  it('arrives on another port inside where the mapping is symmetric', () => {
    const rig = mapped({ provider: 'protonvpn' });
    rig.gateway.port = 51_000;
    rig.until(60);
    expect(rig.told).toEqual([
      '45 mapped 51000 at 203.0.113.10 for 60',
      '45 served 51000>51000 50000>50000',
      '60 served 51000>51000',
    ]);
  });

  it('may come back: then it is served once', () => {
    const rig = mapped({ refreshSeconds: 5 });
    rig.gateway.port = 51_000;
    rig.until(5);
    rig.gateway.port = 50_000;
    rig.until(10);
    expect(rig.told.at(-1)).toBe('10 served 50000>6881 51000>6881');
  });

  it('is not believed while every answer names another one', () => {
    const rig = mapped();
    rig.gateway.map = (_, count) => ({ externalPort: 52_000 + count });
    rig.until(45);
    expect(rig.sent.filter((line) => line.includes('udp'))).toHaveLength(3);
    expect(rig.told).toEqual([]);
    expect(rig.facts.reason?.message).toContain('another port with every answer');
    rig.until(60);
    expect(rig.told.at(0)).toBe('60 lost ERR_PORT_FORWARD_GATEWAY');
  });
});

describe('TCP and UDP that disagree', () => {
  it('TCP is asked again, then UDP for the port of TCP; agreement counts', () => {
    const rig = new Rig();
    rig.gateway.map = ({ protocol, externalPort }) => ({
      externalPort: protocol === 'tcp' ? 51_000 : externalPort || 50_000,
    });
    rig.start();
    expect(rig.sent).toEqual([
      '0 address',
      '0 udp 6881>0 60',
      '0 tcp 6881>50000 60',
      '0 tcp 6881>50000 60',
      '0 udp 6881>51000 60',
    ]);
    expect(rig.facts.port).toBe(51_000);
  });

  it('otherwise it is an error that says so; both mappings are destroyed before the next try', () => {
    const rig = new Rig();
    rig.gateway.map = ({ protocol }) => ({ externalPort: protocol === 'tcp' ? 51_000 : 50_000 });
    rig.start();
    expect(rig.take(rig.sent)).toEqual([
      '0 address',
      '0 udp 6881>0 60',
      '0 tcp 6881>50000 60',
      '0 tcp 6881>50000 60',
      '0 udp 6881>51000 60',
      '0 udp 6881>51000 60',
    ]);
    expect(rig.told).toEqual(['0 failed ERR_PORT_FORWARD_GATEWAY']);
    expect(rig.facts.reason?.message).toContain('different ports for UDP (50000) and TCP (51000)');
    rig.gateway.map = () => ({});
    rig.until(7);
    expect(rig.sent.map((line) => line.split(' ').slice(1).join(' '))).toEqual([
      'address',
      'udp 6881>0 0',
      'tcp 6881>0 0',
      'udp 6881>0 60',
      'tcp 6881>50000 60',
    ]);
    expect(rig.facts.state).toBe('mapped');
  });

  it('during a renewal, the port is kept until its lease ends', () => {
    const rig = mapped();
    rig.gateway.map = ({ protocol }) => ({ externalPort: protocol === 'tcp' ? 51_000 : 50_000 });
    rig.until(59.999);
    expect(rig.told).toEqual([]);
    expect(rig.facts.port).toBe(50_000);
    expect(rig.until(60).told[0]).toBe('60 lost ERR_PORT_FORWARD_GATEWAY');
  });
});

describe('the epoch of the gateway (§3.6)', () => {
  it.each([
    [1_038, []],
    [1_037, ['45 lost ERR_PORT_FORWARD_FULL', '45 served nothing', '45 failed ERR_PORT_FORWARD_FULL']],
  ])('may run slow by an eighth and two seconds: %i after 45 s of a renewal that then fails', (epochSeconds, told) => {
    const rig = mapped();
    rig.gateway.epoch = epochSeconds - 45;
    rig.gateway.map = () => ({ result: 4, externalPort: 0, lifetimeSeconds: 0 });
    rig.until(45);
    expect(rig.told).toEqual(told);
  });

  it('that falls back means lost state: the port is mapped anew in the same round, and kept', () => {
    const rig = mapped();
    rig.gateway.epoch = -45;
    rig.until(45);
    expect(rig.sent).toEqual(RENEWAL);
    expect(rig.told).toEqual([]);
    expect(rig.until(90).facts.port).toBe(50_000);
  });

  it('that falls back and another port: the old one is not served any more', () => {
    const rig = mapped();
    rig.gateway.epoch = -45;
    rig.gateway.port = 51_000;
    rig.until(45);
    expect(rig.told).toEqual(['45 mapped 51000 at 203.0.113.10 for 60', '45 served 51000>6881']);
  });

  it('that falls back in the middle of a round makes the round begin again at once', () => {
    const rig = mapped();
    rig.gateway.map = (_, count) => {
      if (count === 3) rig.gateway.epoch = -45;
      return count === 3 ? { epochSeconds: 0 } : {};
    };
    rig.until(45);
    expect(rig.sent).toEqual([...RENEWAL, ...RENEWAL]);
    expect(rig.told).toEqual([]);
    expect(rig.facts.renewInSeconds).toBe(45);
  });

  it('that falls back and no new mapping: the port is lost at once, for it is not forwarded any more', () => {
    const rig = mapped();
    rig.gateway.epoch = -45;
    rig.gateway.map = () => ({ result: 4, externalPort: 0, lifetimeSeconds: 0 });
    rig.until(45);
    expect(rig.told).toEqual(['45 lost ERR_PORT_FORWARD_FULL', '45 served nothing', '45 failed ERR_PORT_FORWARD_FULL']);
  });

  it('that falls back with every answer ends the round instead of repeating it for ever', () => {
    const rig = mapped();
    let epoch = 900;
    rig.gateway.map = () => ({ epochSeconds: (epoch -= 100) });
    rig.until(45);
    expect(rig.sent).toHaveLength(4);
    expect(rig.told[0]).toBe('45 lost ERR_PORT_FORWARD_GATEWAY');
  });
});

describe('giving the port back (§3.4)', () => {
  const deletions = ['udp 6881>0 0', 'tcp 6881>0 0'];

  it('destroys both mappings, one after the other, and is done when the gateway has answered', () => {
    const rig = mapped().until(10);
    rig.lease.release(rig.now);
    rig.settle();
    expect(rig.sent).toEqual(deletions.map((line) => `10 ${line}`));
    expect(rig.told).toEqual(['10 lost ERR_CLOSED', '10 served nothing', '10 released']);
    expect(rig.facts).toMatchObject({ state: 'off' });
    expect(rig.lease.nextTimeout()).toBeUndefined();
  });

  it('is over after a second if the gateway is silent; each deletion has half of it', () => {
    const rig = mapped().until(10);
    rig.gateway.silent = true;
    rig.lease.release(rig.now);
    rig.settle();
    rig.until(20);
    expect(rig.sent).toEqual(
      [10, 10.25].map((at) => `${at} ${deletions[0]}`).concat([10.5, 10.75].map((at) => `${at} ${deletions[1]}`)),
    );
    expect(rig.told.at(-1)).toBe('11 released');
  });

  it('destroys all symmetric mappings of this client by internal port 0', () => {
    const rig = mapped({ provider: 'protonvpn' });
    rig.lease.release(rig.now);
    rig.settle();
    expect(rig.sent).toEqual(['0 udp 0>0 0', '0 tcp 0>0 0']);
  });

  it('destroys what was granted before the lease was complete', () => {
    const rig = new Rig();
    rig.gateway.map = ({ protocol }) => (protocol === 'tcp' ? 'silent' : {});
    rig.start().until(1);
    rig.take(rig.sent);
    rig.lease.release(rig.now);
    rig.settle();
    expect(rig.sent).toEqual([`1 ${deletions[0]}`]);
    expect(rig.told).toEqual(['1 released']);
  });

  it('has nothing to say where nothing was granted, and nothing happens after', () => {
    const rig = new Rig();
    rig.lease.release(rig.now);
    rig.lease.release(rig.now);
    rig.lease.handleHandshake(rig.now);
    rig.lease.setInternalPort(1, rig.now);
    rig.lease.restart(rig.now);
    rig.settle();
    rig.until(100);
    expect([rig.sent, rig.told]).toEqual([[], ['0 released']]);
  });
});

describe('another port inside, another exit', () => {
  it('moves the mapping to the new internal port: the old one is destroyed first, the same external port asked for', () => {
    const rig = mapped().until(10);
    rig.lease.setInternalPort(7_000, rig.now);
    rig.settle();
    expect(rig.sent).toEqual([
      '10 address',
      '10 udp 6881>0 0',
      '10 tcp 6881>0 0',
      '10 udp 7000>50000 60',
      '10 tcp 7000>50000 60',
    ]);
    expect(rig.told).toEqual(['10 served 50000>7000']);
  });

  it('changes nothing for a symmetric port', () => {
    const rig = mapped({ provider: 'protonvpn' });
    rig.lease.setInternalPort(7_000, rig.now);
    rig.settle();
    expect(rig.sent).toEqual([]);
  });

  it('an exit that changed takes the port with it: lost, and acquired anew', () => {
    const rig = mapped().until(10);
    rig.gateway.port = 51_000;
    rig.lease.restart(rig.now);
    rig.settle();
    expect(rig.told).toEqual([
      '10 lost ERR_PORT_FORWARD_GATEWAY',
      '10 served nothing',
      '10 mapped 51000 at 203.0.113.10 for 60',
      '10 served 51000>6881',
    ]);
  });

  it('nothing is announced after its lease, though the host slept through the end of it', () => {
    const rig = mapped();
    rig.now = (rig.now + 3_600_000) as typeof rig.now;
    rig.receive(
      {
        kind: 'map',
        protocol: 'udp',
        result: 0,
        epochSeconds: 4_600,
        internalPort: 6881,
        externalPort: 50_000,
        lifetimeSeconds: 60,
      },
      { address: GATEWAY, port: 5351 },
    );
    expect(rig.told).toEqual(['3600 lost ERR_PORT_FORWARD_SILENT', '3600 served nothing']);
    expect(rig.facts.state).not.toBe('mapped');
    rig.lease.handleTimeout(rig.now);
    rig.settle();
    expect(rig.facts.state).toBe('mapped');
  });
});
