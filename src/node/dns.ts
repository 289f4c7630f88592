/**
 * The part of node:dns that clients use, answered through the tunnel's DNS servers only. There is no hosts file and no search
 * list; `localhost` never leaves the process (RFC 6761 §6.3).
 */

import { promisify } from 'node:util';
import { formatIp, parseIp } from '../core/base/address.ts';
import { SluiceError } from '../core/base/errors.ts';
import type { ResolvedAddress, ResolveErrorCode } from '../core/netstack/messages.ts';
import type { Admission } from './net-arguments.ts';
import { invalidArgType, invalidArgValue, type SystemError, systemError, validateFunction } from './node-errors.ts';
import type { SocketTable } from './socket-table.ts';

export interface LookupOptions {
  readonly family?: 0 | 4 | 6 | 'IPv4' | 'IPv6' | undefined;
  /** Every address, as a list. */
  readonly all?: boolean | undefined;
  readonly order?: 'verbatim' | 'ipv4first' | 'ipv6first' | undefined;
  readonly verbatim?: boolean | undefined;
  readonly hints?: number | undefined;
}

export interface LookupAddress {
  address: string;
  family: 4 | 6;
}

export interface RecordWithTtl {
  address: string;
  ttl: number;
}

type Callback<T extends unknown[]> = (error: Error | null, ...result: Partial<T>) => void;
type LookupCallback = Callback<[address: string | LookupAddress[], family: number]>;

export interface TunnelDnsPromises {
  lookup(hostname: string, options: LookupOptions & { readonly all: true }): Promise<LookupAddress[]>;
  lookup(hostname: string, options?: LookupOptions | number): Promise<LookupAddress>;
  resolve4(hostname: string, options: { readonly ttl: true }): Promise<RecordWithTtl[]>;
  resolve4(hostname: string, options?: { readonly ttl?: false }): Promise<string[]>;
  resolve6(hostname: string, options: { readonly ttl: true }): Promise<RecordWithTtl[]>;
  resolve6(hostname: string, options?: { readonly ttl?: false }): Promise<string[]>;
  /** `A` (the default) or `AAAA`; other types are refused with ERR_INVALID_ARG_VALUE. */
  resolve(hostname: string, rrtype?: 'A' | 'AAAA'): Promise<string[]>;
}

export interface TunnelDns {
  lookup(hostname: string, callback: Callback<[address: string, family: number]>): void;
  lookup(
    hostname: string,
    options: LookupOptions & { readonly all: true },
    callback: Callback<[addresses: LookupAddress[]]>,
  ): void;
  lookup(
    hostname: string,
    options: LookupOptions | number,
    callback: Callback<[address: string, family: number]>,
  ): void;
  resolve4(hostname: string, callback: Callback<[addresses: string[]]>): void;
  resolve4(hostname: string, options: { readonly ttl: true }, callback: Callback<[records: RecordWithTtl[]]>): void;
  resolve6(hostname: string, callback: Callback<[addresses: string[]]>): void;
  resolve6(hostname: string, options: { readonly ttl: true }, callback: Callback<[records: RecordWithTtl[]]>): void;
  resolve(hostname: string, callback: Callback<[addresses: string[]]>): void;
  resolve(hostname: string, rrtype: 'A' | 'AAAA', callback: Callback<[addresses: string[]]>): void;
  readonly promises: TunnelDnsPromises;
}

/** Addresses of a literal, of `localhost` or of a name, for sockets: the error has getaddrinfo's shape. Returns a cancel. */
export function lookupAddresses(
  table: SocketTable,
  hostname: string,
  family: 4 | 6 | 0,
  done: (error: Error | undefined, addresses: LookupAddress[]) => void,
  admission?: Admission,
): () => void {
  const known = knownAddresses(hostname, family);
  let query = 0;
  let cancelled = false;
  if (known) process.nextTick(() => cancelled || done(undefined, known));
  else
    query = table.resolve(
      hostname,
      family,
      (result) => {
        const addresses = result.kind === 'addresses' ? result.addresses.map(lookupAddress) : [];
        if (addresses.length > 0) return done(undefined, addresses);
        return done(lookupError(table, hostname, result.kind === 'failed' ? result.code : 'ENODATA'), []);
      },
      admission,
    );
  return () => {
    cancelled = true;
    if (query) table.cancelResolve(query);
  };
}

/** Builds the `dns` object of one tunnel. */
export function createDns(table: SocketTable): TunnelDns {
  const lookup = (hostname: string, ...rest: unknown[]): void => {
    const callback = rest.pop() as LookupCallback;
    validateFunction(callback, 'callback');
    const { family, all, order } = lookupOptions(hostname, rest[0]);
    if (!hostname) {
      process.nextTick(() => (all ? callback(null, []) : callback(null, null as never, family === 6 ? 6 : 4)));
      return;
    }
    lookupAddresses(table, hostname, family, (error, found) => {
      const addresses = sorted(found, order);
      if (error) callback(error);
      else if (all) callback(null, addresses);
      else callback(null, addresses[0]!.address, addresses[0]!.family);
    });
  };
  const resolver =
    (family: 4 | 6, syscall: string) =>
    (hostname: string, ...rest: unknown[]): void => {
      const callback = rest.pop() as Callback<[unknown[]]>;
      if (typeof hostname !== 'string') throw invalidArgType('name', 'of type string', hostname);
      validateFunction(callback, 'callback');
      const ttl = Boolean((rest[0] as { ttl?: boolean } | undefined)?.ttl);
      table.resolve(hostname, family, (result) => {
        if (result.kind === 'failed') return callback(resolveError(table, hostname, result.code, syscall));
        if (result.addresses.length === 0) return callback(resolveError(table, hostname, 'ENODATA', syscall));
        return callback(
          null,
          result.addresses.map((found) => (ttl ? withTtl(found) : formatIp(found.address))),
        );
      });
    };
  const resolve4 = resolver(4, 'queryA');
  const resolve6 = resolver(6, 'queryAaaa');
  const resolve = (hostname: string, ...rest: unknown[]): void => {
    const type = rest.length > 1 ? rest[0] : 'A';
    if (type !== 'A' && type !== 'AAAA') throw invalidArgValue('rrtype', type, "must be 'A' or 'AAAA' in a tunnel");
    (type === 'A' ? resolve4 : resolve6)(hostname, rest.at(-1));
  };
  const lookupPromise = (hostname: string, options?: LookupOptions | number): Promise<unknown> =>
    new Promise((settle, reject) => {
      lookup(hostname, options ?? {}, (error: Error | null, address: unknown, family: unknown) => {
        if (error) reject(error);
        else settle(Array.isArray(address) ? address : { address, family });
      });
    });
  Object.defineProperty(lookup, promisify.custom, { value: lookupPromise });
  const promises = {
    lookup: lookupPromise,
    resolve4: promisify(resolve4),
    resolve6: promisify(resolve6),
    resolve: promisify(resolve),
  };
  return { lookup, resolve4, resolve6, resolve, promises } as unknown as TunnelDns;
}

/** Checks the options of `lookup` as Node does; throws ERR_INVALID_ARG_TYPE or ERR_INVALID_ARG_VALUE. */
function lookupOptions(hostname: unknown, options: unknown): { family: 4 | 6 | 0; all: boolean; order: string } {
  if (hostname && typeof hostname !== 'string') throw invalidArgType('hostname', 'of type string', hostname);
  if (options !== undefined && typeof options !== 'object' && typeof options !== 'number')
    throw invalidArgType('options', 'one of type integer or object', options);
  const given: LookupOptions =
    typeof options === 'number' ? { family: options as 0 } : ((options ?? {}) as LookupOptions);
  const family = given.family === 'IPv4' ? 4 : given.family === 'IPv6' ? 6 : (given.family ?? 0);
  if (family !== 0 && family !== 4 && family !== 6)
    throw invalidArgValue('options.family', family, 'must be one of: 0, 4, 6');
  const order = given.order ?? (given.verbatim === false ? 'ipv4first' : 'verbatim');
  return { family, all: given.all ?? false, order };
}

function knownAddresses(hostname: string, family: 4 | 6 | 0): LookupAddress[] | undefined {
  const literal = parseIp(hostname);
  if (literal) return [{ address: hostname, family: literal.family }];
  if (!/^(.+\.)?localhost\.?$/i.test(hostname)) return undefined;
  const loopback: LookupAddress[] = [
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ];
  return loopback.filter((each) => family === 0 || each.family === family);
}

function sorted(addresses: LookupAddress[], order: string): LookupAddress[] {
  if (order === 'verbatim') return addresses;
  const first = order === 'ipv4first' ? 4 : 6;
  return [...addresses].sort((a, b) => Number(b.family === first) - Number(a.family === first));
}

function lookupAddress({ address }: ResolvedAddress): LookupAddress {
  return { address: formatIp(address), family: address.family };
}

function withTtl({ address, ttlSeconds }: ResolvedAddress): RecordWithTtl {
  return { address: formatIp(address), ttl: ttlSeconds };
}

/** As getaddrinfo fails: a name without an address is not found, a server that fails or is silent means "again". */
function lookupError(table: SocketTable, hostname: string, code: ResolveErrorCode): Error {
  const own = ownError(table, hostname, code);
  if (own) return own;
  const notFound = code === 'ENOTFOUND' || code === 'ENODATA' || code === 'EBADNAME';
  const error: SystemError = systemError(notFound ? 'ENOTFOUND' : 'EAI_AGAIN', 'getaddrinfo', { address: hostname });
  const { errno } = systemError(notFound ? 'EAI_NONAME' : 'EAI_AGAIN', 'getaddrinfo');
  if (errno !== undefined) error.errno = errno;
  return named(error, hostname);
}

function resolveError(table: SocketTable, hostname: string, code: ResolveErrorCode, syscall: string): Error {
  const error: SystemError = systemError(code, syscall, { address: hostname });
  delete error.errno;
  return ownError(table, hostname, code) ?? named(error, hostname);
}

function named(error: SystemError, hostname: string): SystemError {
  delete error.address;
  error.hostname = hostname;
  return error;
}

function ownError(table: SocketTable, hostname: string, code: ResolveErrorCode): SluiceError | undefined {
  if (code === 'ENODNS')
    return new SluiceError('ERR_DNS_NONE', `Cannot resolve ${hostname}: the tunnel has no DNS server.`);
  return code === 'ECANCELLED' ? table.closed : undefined;
}
