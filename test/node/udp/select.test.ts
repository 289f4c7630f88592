import { createRequire } from 'node:module';
import { describe, expect, it, vi } from 'vitest';
import { type Host, type Libc, loadLibc } from '../../../src/node/udp/ffi.ts';
import { type Examined, examine, selectFrom } from '../../../src/node/udp/select.ts';
import { failing, libc } from '../../support/fast-udp.ts';

const EPERM = 1;
const EIO = 5;
const ENOSYS = 38;
const EOPNOTSUPP = 95;

const host = (changes: Partial<Host>): Host => ({ platform: 'linux', arch: 'x64', load: () => ({}), ...changes });

/** A koffi whose library lacks a function. */
const koffiWithout = (missing: string): unknown => ({
  load: () => ({
    func(prototype: string) {
      if (prototype.includes(` ${missing}(`)) throw new Error(`Cannot find function '${missing}' in shared library`);
      return () => 0;
    },
  }),
});

describe('The C library', () => {
  it.each([
    ['another system', { platform: 'darwin' }, 'not on darwin-x64'],
    ['another processor', { arch: 'ia32' }, 'not on linux-ia32'],
    [
      'the package is not installed',
      { load: createRequire(import.meta.url).bind(undefined, 'no-such-package') },
      'no-such-package',
    ],
    [
      'its binary does not load',
      {
        load: () => {
          throw new Error('libstdc++.so.6: cannot open shared object file\nRequire stack:\n- here');
        },
      },
      'libstdc++.so.6: cannot open shared object file',
    ],
    ['a function is missing', { load: () => koffiWithout('recvmmsg') }, "Cannot find function 'recvmmsg'"],
  ] as const)('is absent, with the reason: %s', (_, changes, message) => {
    const result = examine(() => loadLibc(host(changes)));
    expect(result).toEqual({ reason: 'absent', message: expect.stringContaining(message) });
    expect((result as { message: string }).message).not.toContain('\n');
  });

  it('is loaded by the name of the platform’s package', () => {
    const load = vi.fn(() => koffiWithout('nothing'));
    loadLibc(host({ arch: 'arm64', load }));
    expect(load).toHaveBeenCalledWith('@koromix/koffi-linux-arm64');
  });
});

describe.skipIf(!libc)('The self-test of the fast UDP port', () => {
  const problem = (changes: Parameters<typeof failing>[1]): Examined => examine(() => failing(libc!, changes));

  it('passes', () => {
    expect(examine(() => libc!)).toEqual({ libc });
  });

  it.each([
    ['receiving is forbidden (seccomp)', { recvmmsg: EPERM, recvmsg: EPERM }, 'recvmmsg EPERM'],
    ['receiving is not known', { recvmmsg: ENOSYS, recvmsg: ENOSYS }, 'recvmmsg ENOSYS'],
    ['sending is forbidden (seccomp)', { sendmmsg: ENOSYS, sendmsg: ENOSYS }, 'send ENOSYS'],
    ['no eventfd', { eventfd: ENOSYS }, 'eventfd ENOSYS'],
    ['no socket', { socket: EPERM }, 'socket EPERM'],
  ] as const)('fails, with the reason: %s', (_, changes, message) => {
    expect(problem(changes)).toEqual({ reason: 'self-test-failed', message: expect.stringContaining(message) });
  });

  it('fails if nothing arrives', () => {
    const poll: Libc['poll'] = () => 0;
    expect(examine(() => ({ ...libc!, poll }))).toMatchObject({ message: 'datagrams did not arrive on loopback' });
  });

  it('passes where only the old calls are allowed (seccomp)', () => {
    expect(problem({ recvmmsg: EPERM, sendmmsg: EPERM })).toHaveProperty('libc');
    expect(problem({ recvmmsg: ENOSYS, sendmmsg: ENOSYS })).toHaveProperty('libc');
  });

  it('passes without GRO and GSO (Linux before 5.0 and 4.18), and where the interface cannot cut (EIO)', () => {
    expect(problem({ setsockopt: EOPNOTSUPP })).toHaveProperty('libc');
    expect(problem({ sendmmsg: (call) => (call === 0 ? EIO : 0) })).toHaveProperty('libc');
  });
});

describe('The choice of the UDP port', () => {
  const well = { libc: {} as Libc };
  const absent: Examined = { reason: 'absent', message: 'not on plan9-x64' };

  it('is the fast one where it works, else node:dgram, and says why', () => {
    const onSkipped = vi.fn();
    expect(selectFrom(() => well, { onSkipped })).toBe(well.libc);
    expect(onSkipped).not.toHaveBeenCalled();
    expect(selectFrom(() => absent, { onSkipped })).toBeUndefined();
    expect(onSkipped).toHaveBeenCalledWith(absent);
  });

  it('is what the option says, then what SLUICE_UDP says; node:dgram is taken without looking', () => {
    const examination = vi.fn(() => well);
    expect(selectFrom(examination, { prefer: 'dgram' }, 'ffi')).toBeUndefined();
    expect(selectFrom(examination, {}, 'dgram')).toBeUndefined();
    expect(examination).not.toHaveBeenCalled();
    expect(selectFrom(examination, { prefer: 'ffi' }, 'dgram')).toBe(well.libc);
    expect(selectFrom(examination, {}, '')).toBe(well.libc);
  });

  it('fails if the fast one was asked for and does not work (ERR_UDP_PORT)', () => {
    for (const [options, environment] of [[{ prefer: 'ffi' }], [{}, 'ffi']] as const)
      expect(() => selectFrom(() => absent, options, environment)).toThrow(
        expect.objectContaining({ code: 'ERR_UDP_PORT', message: expect.stringContaining('not on plan9-x64') }),
      );
  });

  it('refuses what it does not know', () => {
    expect(() => selectFrom(() => well, { prefer: 'raw' as 'ffi' })).toThrow(RangeError);
    expect(() => selectFrom(() => well, {}, 'raw')).toThrow(expect.objectContaining({ code: 'ERR_CONFIG_VALUE' }));
  });
});
