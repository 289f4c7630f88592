/** Where the API listens: an address with a port, or a unix socket. */

import { formatIp, parseIp } from '../core/base/address.ts';

export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

export const DEFAULT_LISTEN: ListenAddress = { kind: 'tcp', host: '127.0.0.1', port: 8787 };

/**
 * `127.0.0.1:8787`, `[::1]:8787`, `localhost:8787`, `/run/sluice.sock` or `unix:/run/sluice.sock`; `undefined` for anything else.
 * Names other than `localhost` are not taken: what they resolve to may change.
 */
export function parseListen(text: string): ListenAddress | undefined {
  const path = text.replace(/^unix:/, '');
  if (path.startsWith('/')) return { kind: 'unix', path };
  const match = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) return undefined;
  if (match[2] === 'localhost') return { kind: 'tcp', host: '127.0.0.1', port };
  const address = parseIp(match[1] ?? match[2]!);
  if (address?.family !== (match[1] === undefined ? 4 : 6)) return undefined;
  return { kind: 'tcp', host: formatIp(address), port };
}

/** As `parseListen` reads it. */
export function formatListen(listen: ListenAddress): string {
  if (listen.kind === 'unix') return listen.path;
  return listen.host.includes(':') ? `[${listen.host}]:${listen.port}` : `${listen.host}:${listen.port}`;
}
