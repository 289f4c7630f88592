/**
 * What the daemon is told to do, by environment variables and options. One table of keys, named as in the configuration file: the
 * file, once there is one, fills the same values.
 */

import { DEFAULT_LISTEN, type ListenAddress, parseListen } from '../api/listen.ts';
import { parseIp, parsePrefix } from '../core/base/address.ts';
import { SluiceError } from '../core/base/errors.ts';
import { nearestWord } from '../core/base/spelling.ts';
import { shown } from '../core/tunnel/config/fault.ts';
import type { KillswitchOptions } from '../node/killswitch.ts';
import type { PortForwardOptions } from '../node/port-forward.ts';
import type { ProbeOptions } from '../node/probe.ts';
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from './log-words.ts';
import { stateDirOf } from './state-dir.ts';

export interface Settings {
  readonly tunnel: { readonly enabled: boolean; readonly stateDir: string };
  /** The `.conf`; absent: nothing is configured, and nothing is sent. */
  readonly wireguard: { readonly config?: string; readonly fallback: readonly string[] };
  readonly portForward: PortForwardOptions;
  readonly killswitch: KillswitchOptions;
  readonly probe: ProbeOptions;
  readonly api: { readonly listen: ListenAddress };
  /** `format` absent: whatever fits the output. */
  readonly log: { readonly level: LogLevel; readonly format?: LogFormat };
}

type Environment = Readonly<Record<string, string | undefined>>;

/** How a value is read from text, and what to say when it cannot be. */
interface Kind<T> {
  readonly expected: string;
  parse(text: string): T | undefined;
}

const path: Kind<string> = { expected: 'a path', parse: (given) => (given === '' ? undefined : given) };
const paths: Kind<readonly string[]> = {
  expected: 'paths, with commas between them',
  parse: (given) => listOf(given, path.parse),
};
const boolean: Kind<boolean> = {
  expected: 'true or false',
  parse: (given) => ({ true: true, false: false })[given.toLowerCase()],
};
const listen: Kind<ListenAddress> = {
  expected: 'an address with a port, such as 127.0.0.1:8787, or the path of a unix socket',
  parse: parseListen,
};
const ipv4: Kind<string> = {
  expected: 'an IPv4 address',
  parse: (given) => (parseIp(given)?.family === 4 ? given : undefined),
};
const checkUrl: Kind<string> = {
  expected: 'a URL with {{PORT}} in it',
  parse: (given) => (isUrl(given.replace('{{PORT}}', '1')) && given.includes('{{PORT}}') ? given : undefined),
};
const urls: Kind<readonly string[]> = {
  expected: 'URLs that begin with https:// or http://, with commas between them',
  parse: (given) => listOf(given, (url) => (isUrl(url) ? url : undefined)),
};
const networks: Kind<readonly string[]> = {
  expected: 'addresses or networks such as 203.0.113.0/24, with commas between them',
  parse: (given) => listOf(given, (network) => (parsePrefix(network) ? network : undefined)),
};

function isUrl(text: string): boolean {
  return /^https?:\/\/[^\s/]/.test(text) && URL.canParse(text);
}

function integer(from: number, to: number, unit = ''): Kind<number> {
  return {
    expected: `a whole number${unit && ` of ${unit}`} from ${from} to ${to}`,
    parse: (given) =>
      /^\d{1,9}$/.test(given) && Number(given) >= from && Number(given) <= to ? Number(given) : undefined,
  };
}

function oneOf<T extends string>(...words: readonly T[]): Kind<T> {
  return { expected: words.join(', '), parse: (given) => words.find((word) => word === given) };
}

function listOf<T>(given: string, parse: (item: string) => T | undefined): T[] | undefined {
  const items = given.split(',').map((item) => parse(item.trim()));
  return items.includes(undefined) ? undefined : (items as T[]);
}

interface Key<T> {
  readonly kind: Kind<T>;
  /** For docs/reference/settings.md. */
  readonly help: string;
}

function key<T>(kind: Kind<T>, help: string): Key<T> {
  return { kind, help };
}

const DAY_SECONDS = 86_400;

/** Every key, with its values and its meaning. `port_forward.port` is SLUICE_PORT_FORWARD_PORT in the environment. */
const KEYS = {
  'tunnel.enabled': key(boolean, 'false: come up switched off; default true'),
  'tunnel.state_dir': key(path, 'the state folder; default `$XDG_STATE_HOME/sluice`, else `~/.local/state/sluice`'),
  'wireguard.config': key(path, 'the `.conf`'),
  'wireguard.fallback': key(paths, 'further `.conf` files, taken in this order when the server stays silent'),
  'port_forward.provider': key(
    oneOf('none', 'natpmp', 'protonvpn', 'static', 'airvpn'),
    'who forwards a port; default none',
  ),
  'port_forward.port': key(integer(1, 65_535), 'with `static`: the port that the provider has assigned'),
  'port_forward.gateway': key(ipv4, 'default: the first DNS server, else the first host of the tunnel’s network'),
  'port_forward.refresh_seconds': key(
    integer(1, DAY_SECONDS, 'seconds'),
    'the longest time between renewals; default 45',
  ),
  'port_forward.check_url': key(checkUrl, 'who is asked whether the port is reached from outside; default nobody'),
  'killswitch.enabled': key(boolean, 'default true'),
  'killswitch.stale_after_seconds': key(integer(150, DAY_SECONDS, 'seconds'), 'the age of a handshake; default 180'),
  'killswitch.silent_after_seconds': key(
    integer(1, DAY_SECONDS, 'seconds'),
    'how long the server may leave handshakes unanswered; default 30',
  ),
  'probe.enabled': key(boolean, 'default true'),
  'probe.interval_seconds': key(integer(10, DAY_SECONDS, 'seconds'), 'default 300'),
  'probe.urls': key(urls, 'services that tell a caller’s address, the first one first'),
  'probe.urls_v6': key(urls, 'the same for IPv6'),
  'probe.timeout_seconds': key(integer(1, 60, 'seconds'), 'for one answer; default 10'),
  'probe.expected': key(networks, 'exit addresses; default: what was learnt'),
  'probe.on_mismatch': key(oneOf('pause', 'warn'), 'what a confirmed leak does; default pause'),
  'api.listen': key(listen, 'default 127.0.0.1:8787'),
  'log.level': key(oneOf(...LOG_LEVELS), 'default info'),
  'log.format': key(oneOf(...LOG_FORMATS), 'default: pretty on a terminal, else json'),
} as const satisfies Readonly<Record<string, Key<unknown>>>;

type SettingKey = keyof typeof KEYS;
const SETTING_KEYS = Object.keys(KEYS) as SettingKey[];

/** What was said; what was not, is left to the defaults. */
type Values = { [K in SettingKey]?: (typeof KEYS)[K] extends Key<infer T> ? T : never };

/** Names that the command line gives to keys. */
export interface Options {
  /** The operand of `sluice up`. */
  readonly config?: string | undefined;
  readonly listen?: string | undefined;
  readonly stateDir?: string | undefined;
  /** `natpmp`, `protonvpn`, `none` or `static:PORT`. */
  readonly portForward?: string | undefined;
}

/** The settings; options go before the environment. Throws `ERR_CONFIG_VALUE`. */
export function readSettings(env: Environment, options: Options = {}): Settings {
  return settingsOf({ ...valuesOfEnvironment(env), ...valuesOfOptions(options) }, env);
}

/** Each key with its environment variable, for docs/reference/settings.md. */
export function describeSettings(): {
  readonly key: string;
  readonly variable: string;
  readonly expected: string;
  readonly help: string;
}[] {
  return SETTING_KEYS.map((name) => ({
    key: name,
    variable: variableOf(name),
    expected: KEYS[name].kind.expected,
    help: KEYS[name].help,
  }));
}

function variableOf(key: SettingKey): string {
  return `SLUICE_${key.replace('.', '_').toUpperCase()}`;
}

function valuesOfEnvironment(env: Environment): Values {
  refuseUnknown(env);
  const values: Record<string, unknown> = {};
  for (const name of SETTING_KEYS) {
    const variable = variableOf(name);
    const given = env[variable];
    if (given !== undefined && given !== '') values[name] = parse<unknown>(variable, KEYS[name].kind, given);
  }
  return values as Values;
}

function valuesOfOptions({ config, listen: address, stateDir, portForward }: Options): Values {
  const [provider, port] = portForward?.split(':', 2) ?? [];
  return {
    ...(config === undefined ? {} : { 'wireguard.config': config }),
    ...(address === undefined ? {} : { 'api.listen': parse('--listen', listen, address) }),
    ...(stateDir === undefined ? {} : { 'tunnel.state_dir': stateDir }),
    ...(provider === undefined
      ? {}
      : { 'port_forward.provider': parse('--port-forward', KEYS['port_forward.provider'].kind, provider) }),
    ...(port === undefined
      ? {}
      : { 'port_forward.port': parse('--port-forward', KEYS['port_forward.port'].kind, port) }),
  };
}

function settingsOf(values: Values, env: Environment): Settings {
  const provider = values['port_forward.provider'] ?? 'none';
  const fixed = provider === 'static' || provider === 'airvpn';
  if (fixed && values['port_forward.port'] === undefined)
    throw new SluiceError('ERR_CONFIG_VALUE', `The provider ${provider} needs the port that it has assigned.`, {
      hint: `Give it as --port-forward ${provider}:PORT or ${variableOf('port_forward.port')}.`,
    });
  return {
    tunnel: {
      enabled: values['tunnel.enabled'] ?? true,
      stateDir: values['tunnel.state_dir'] ?? stateDirOf(env),
    },
    wireguard: {
      ...defined({ config: values['wireguard.config'] }),
      fallback: values['wireguard.fallback'] ?? [],
    },
    portForward: {
      provider,
      ...defined({
        port: fixed ? values['port_forward.port'] : undefined,
        gateway: values['port_forward.gateway'],
        refreshSeconds: values['port_forward.refresh_seconds'],
        checkUrl: values['port_forward.check_url'],
      }),
    },
    killswitch: defined({
      enabled: values['killswitch.enabled'],
      staleAfterSeconds: values['killswitch.stale_after_seconds'],
      silentAfterSeconds: values['killswitch.silent_after_seconds'],
    }),
    probe: defined({
      enabled: values['probe.enabled'],
      intervalSeconds: values['probe.interval_seconds'],
      urls: values['probe.urls'],
      urlsV6: values['probe.urls_v6'],
      timeoutSeconds: values['probe.timeout_seconds'],
      expected: values['probe.expected'],
      onMismatch: values['probe.on_mismatch'],
    }),
    api: { listen: values['api.listen'] ?? DEFAULT_LISTEN },
    log: { level: values['log.level'] ?? 'info', ...defined({ format: values['log.format'] }) },
  };
}

const SECTIONS = [...new Set(Object.keys(KEYS).map((key) => key.slice(0, key.indexOf('.'))))];

/** A killswitch that is misspelt must not go unnoticed. Variables of other sections may be somebody else's. */
function refuseUnknown(env: Environment): void {
  const known = SETTING_KEYS.map(variableOf);
  for (const name of Object.keys(env)) {
    const ours = SECTIONS.some((section) => name.startsWith(`SLUICE_${section.toUpperCase()}_`));
    if (!ours || known.includes(name)) continue;
    const meant = nearestWord(name, known);
    throw new SluiceError('ERR_CONFIG_VALUE', `${name} is not a setting of this release.`, {
      hint: meant ? `Did you mean ${meant}?` : 'Unset it; docs/reference/settings.md lists what there is.',
    });
  }
}

function parse<T>(name: string, kind: Kind<T>, given: string): T {
  const value = kind.parse(given.trim());
  if (value !== undefined) return value;
  throw new SluiceError('ERR_CONFIG_VALUE', `${name}: expected ${kind.expected}, got ${shown(given)}.`);
}

/** Without the members that are undefined. */
function defined<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as never;
}
