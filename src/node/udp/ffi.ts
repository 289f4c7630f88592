/**
 * The system calls that Node has no name for, by way of koffi. Of koffi only the native module of the platform is used: it is a package
 * of its own, without an install script, and has all that is needed (docs/decisions/0010-udp-ffi.md).
 */

import { createRequire } from 'node:module';
import { arch, platform } from 'node:process';

/**
 * What is used of the C library. Each function returns -1 for a failure, whose number `errno` tells until the next call. Memory is named by
 * number, `addressOf` it; a number keeps nothing alive and the memory must not move: see native-memory.ts.
 */
export interface Libc {
  socket(family: number, type: number, protocol: number): number;
  bind(descriptor: number, address: Uint8Array, length: number): number;
  connect(descriptor: number, address: Uint8Array, length: number): number;
  getsockname(descriptor: number, address: Uint8Array, length: Uint8Array): number;
  setsockopt(descriptor: number, level: number, name: number, value: Uint8Array, length: number): number;
  getsockopt(descriptor: number, level: number, name: number, value: Uint8Array, length: Uint8Array): number;
  recvmmsg(descriptor: number, messages: number, count: number, flags: number, timeout: number): number;
  recvmsg(descriptor: number, message: number, flags: number): number;
  sendmmsg(descriptor: number, messages: number, count: number, flags: number): number;
  sendmsg(descriptor: number, message: number, flags: number): number;
  poll(descriptors: number, count: number, timeoutMs: number): number;
  eventfd(initial: number, flags: number): number;
  read(descriptor: number, memory: number, bytes: number): number;
  close(descriptor: number): number;
  errno(): number;
  addressOf(memory: Uint8Array): number;
}

const PROTOTYPES: Readonly<Record<Exclude<keyof Libc, 'errno' | 'addressOf'>, string>> = {
  socket: 'int socket(int, int, int)',
  bind: 'int bind(int, void *, uint32)',
  connect: 'int connect(int, void *, uint32)',
  getsockname: 'int getsockname(int, void *, void *)',
  setsockopt: 'int setsockopt(int, int, int, void *, uint32)',
  getsockopt: 'int getsockopt(int, int, int, void *, void *)',
  recvmmsg: 'int recvmmsg(int, uint64, uint32, int, uint64)',
  recvmsg: 'int64 recvmsg(int, uint64, int)',
  sendmmsg: 'int sendmmsg(int, uint64, uint32, int)',
  sendmsg: 'int64 sendmsg(int, uint64, int)',
  poll: 'int poll(uint64, uint64, int)',
  eventfd: 'int eventfd(uint32, int)',
  read: 'int64 read(int, uint64, size_t)',
  close: 'int close(int)',
};

/** What is used of koffi’s native module. */
interface Koffi {
  load(library: null): { func(prototype: string): (...values: never[]) => unknown };
  address(memory: Uint8Array): bigint;
  errno(): number;
}

export interface Host {
  readonly platform: string;
  readonly arch: string;
  readonly load: (name: string) => unknown;
}

const HOST: Host = { platform, arch, load: createRequire(import.meta.url) };

/** The layouts of this folder are those of 64-bit little-endian Linux, which these are. */
const ARCHITECTURES = new Set(['x64', 'arm64']);

/** Throws if this is another system, the package is absent or does not load, or a function is missing. */
export function loadLibc(host: Host = HOST): Libc {
  const system = `${host.platform}-${host.arch}`;
  if (host.platform !== 'linux' || !ARCHITECTURES.has(host.arch)) throw new Error(`not on ${system}`);
  const koffi = host.load(`@koromix/koffi-${system}`) as Koffi;
  // The process itself: what it has loaded already, be that glibc or musl.
  const library = koffi.load(null);
  const functions = Object.entries(PROTOTYPES).map(([name, prototype]) => [name, library.func(prototype)]);
  return {
    ...(Object.fromEntries(functions) as Omit<Libc, 'errno' | 'addressOf'>),
    errno: () => koffi.errno(),
    addressOf: (memory) => Number(koffi.address(memory)),
  };
}
