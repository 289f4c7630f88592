/**
 * No test may reach anything but loopback: every way that Node has to a socket or a name throws, in this process, in its workers
 * and in the Node processes that it starts. Plain JavaScript, so that those can load it with `--import`.
 */
import childProcess from 'node:child_process';
import dgram from 'node:dgram';
import dns from 'node:dns';
import Module, { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import workerThreads from 'node:worker_threads';

const INSTALLED = Symbol.for('sluice.no-outside-sockets');
const IMPORT = `--import=${import.meta.url}`;

if (!globalThis[INSTALLED]) {
  globalThis[INSTALLED] = true;
  guardStreams();
  guardDatagrams();
  guardForeignCalls();
  guardNames();
  guardFetch();
  guardChildren();
  guardWorkers();
  syncBuiltinESMExports();
}

/** True for `localhost` and every literal of 127.0.0.0/8 and ::1. Wildcards are not loopback. */
export function isLoopback(host) {
  const address = String(host)
    .toLowerCase()
    .replace(/^::ffff:/, '');
  return address === 'localhost' || address === '::1' || (net.isIPv4(address) && address.startsWith('127.'));
}

function refuse(what) {
  throw Object.assign(new Error(`A test reached outside of loopback: ${what}`), { code: 'ERR_TEST_OUTSIDE' });
}

/** Replaces `owner[name]` by a function that calls `check` with the same arguments first. */
function guard(owner, name, check) {
  const original = owner[name];
  if (typeof original !== 'function') return;
  owner[name] = function (...args) {
    check.call(this, ...args);
    return original.apply(this, args);
  };
}

/** The options of `connect` and `listen`, of whose forms Node has three, and one of its own. */
function streamTarget([first, second]) {
  if (Array.isArray(first)) return first[0];
  if (typeof first === 'object' && first !== null) return first;
  if (typeof first === 'string' && !/^\d+$/.test(first)) return { path: first };
  return { port: first, host: typeof second === 'string' ? second : undefined };
}

/** TCP, and with it TLS, HTTP, HTTP/2 and undici. */
function guardStreams() {
  guard(net.Socket.prototype, 'connect', (...args) => {
    const { path, host = 'localhost', port } = streamTarget(args);
    if (!path && !isLoopback(host)) refuse(`TCP connection to ${host}:${port}`);
  });
  guard(net.Server.prototype, 'listen', (...args) => {
    const target = streamTarget(args);
    if (target.path || target.fd !== undefined || target._handle) return;
    if (target.host === undefined || !isLoopback(target.host))
      refuse(`TCP server on ${target.host ?? 'every address'}:${target.port ?? 0}`);
  });
}

function guardDatagrams() {
  const { prototype } = dgram.Socket;
  guard(prototype, 'send', (_message, ...rest) => {
    const address = rest.find((argument) => typeof argument === 'string');
    if (address !== undefined && !isLoopback(address)) refuse(`UDP datagram to ${address}`);
  });
  guard(prototype, 'connect', (port, address) => {
    if (typeof address === 'string' && !isLoopback(address)) refuse(`UDP socket connected to ${address}:${port}`);
  });
  guard(prototype, 'bind', (...args) => {
    const [first, second] = args;
    // What Node does by itself at the first `send` or `connect` of a socket that is not bound.
    if (args.length === 2 && second === null && first?.exclusive === true && first.port === 0) return;
    const options = typeof first === 'object' && first !== null ? first : { address: second };
    if (options.fd !== undefined) return;
    if (typeof options.address !== 'string' || !isLoopback(options.address))
      refuse(`UDP socket bound to ${typeof options.address === 'string' ? options.address : 'every address'}`);
  });
  for (const name of ['addMembership', 'addSourceSpecificMembership'])
    guard(prototype, name, (group) => refuse(`multicast group ${group}`));
  guard(prototype, 'setBroadcast', (on) => on && refuse('UDP broadcast'));
}

/** The C library by way of koffi: what is loaded of it is wrapped, whoever loads it. */
function guardForeignCalls() {
  const original = Module._load;
  Module._load = function (request, ...rest) {
    const loaded = original.call(this, request, ...rest);
    if (!/koffi/.test(request) || typeof loaded?.load !== 'function') return loaded;
    return { ...loaded, load: (...args) => guardedLibrary(loaded.load(...args)) };
  };
}

/** Sockets of the C library that were bound or connected to loopback: no datagram of theirs leaves it. */
const inside = new Set();

function guardedLibrary(library) {
  const check = {
    bind: (descriptor, address) => inside.add(descriptor) && requireLoopback('bound', address),
    connect: (descriptor, address) => inside.add(descriptor) && requireLoopback('connected', address),
  };
  for (const name of ['send', 'sendto', 'sendmsg', 'sendmmsg'])
    check[name] = (descriptor) =>
      inside.has(descriptor) || refuse(`${name} on a socket that was not bound on loopback`);
  return {
    func(prototype, ...rest) {
      const called = library.func(prototype, ...rest);
      const name = /(\w+)\s*\(/.exec(prototype)?.[1] ?? prototype;
      return (...values) => {
        check[name]?.(...values);
        const result = called(...values);
        if (name === 'socket') inside.delete(result);
        return result;
      };
    },
  };
}

/** `address` is a sockaddr_in or sockaddr_in6. */
function requireLoopback(how, address) {
  if (!(address instanceof Uint8Array)) refuse(`socket ${how} to an address that cannot be read`);
  const text =
    address[0] === 2
      ? address.subarray(4, 8).join('.')
      : Array.from({ length: 8 }, (_, i) => ((address[8 + 2 * i] << 8) | address[9 + 2 * i]).toString(16)).join(':');
  if (!isLoopback(text.replace(/^(0:){7}1$/, '::1'))) refuse(`UDP socket ${how} to ${text}`);
}

/** Resolvers are let through only if they were told to ask a server on loopback: the default one there may forward. */
function guardNames() {
  const loopbackResolvers = new WeakSet();
  const lookup = (name) => {
    if (net.isIP(String(name)) === 0 && !isLoopback(name)) refuse(`lookup of ${name}`);
  };
  const service = (address) => isLoopback(address) || refuse(`lookup of ${address}`);
  for (const api of [dns, dns.promises]) {
    guard(api, 'lookup', lookup);
    guard(api, 'lookupService', service);
    const { prototype } = api.Resolver;
    guard(prototype, 'setServers', function (servers) {
      const inside = servers.every((server) => isLoopback(server.replace(/^\[(.*)\](:\d+)?$|:\d+$/, '$1') || server));
      loopbackResolvers[inside ? 'add' : 'delete'](this);
    });
    for (const name of ['resolve', 'reverse', ...Object.keys(api).filter((key) => /^resolve./.test(key))]) {
      guard(api, name, (asked) => refuse(`DNS query for ${asked}`));
      guard(prototype, name, function (asked) {
        if (!loopbackResolvers.has(this)) refuse(`DNS query for ${asked}`);
      });
    }
  }
}

function guardFetch() {
  guard(globalThis, 'fetch', (input) => {
    const { protocol, hostname } = new URL(input instanceof Request ? input.url : input);
    if (/^https?:$/.test(protocol) && !isLoopback(hostname.replace(/^\[|\]$/g, ''))) refuse(`fetch of ${hostname}`);
  });
}

function guardChildren() {
  process.env.NODE_OPTIONS = withImport(process.env.NODE_OPTIONS);
  // Every asynchronous way ends here; the environment is a list of `NAME=value` by then.
  guard(childProcess.ChildProcess.prototype, 'spawn', (options) => {
    const pairs = options.envPairs;
    if (!pairs) return;
    const at = pairs.findIndex((pair) => pair.startsWith('NODE_OPTIONS='));
    if (at < 0) pairs.push(`NODE_OPTIONS=${IMPORT}`);
    else pairs[at] = `NODE_OPTIONS=${withImport(pairs[at].slice('NODE_OPTIONS='.length))}`;
  });
  for (const name of ['spawnSync', 'execFileSync', 'execSync'])
    guard(childProcess, name, (...args) => {
      const options = args.find((argument, i) => i > 0 && typeof argument === 'object' && !Array.isArray(argument));
      if (options?.env) options.env = { ...options.env, NODE_OPTIONS: withImport(options.env.NODE_OPTIONS) };
    });
}

function withImport(nodeOptions = '') {
  return nodeOptions.includes(IMPORT) ? nodeOptions : `${nodeOptions} ${IMPORT}`.trim();
}

function guardWorkers() {
  workerThreads.Worker = class Worker extends workerThreads.Worker {
    constructor(file, options = {}) {
      // Evaluated code does not wait for `--import`.
      if (options.eval)
        file = `import(${JSON.stringify(import.meta.url)}).then(() => (0, eval)(${JSON.stringify(file)}))`;
      const execArgv = (options.execArgv ?? process.execArgv).filter((argument) => argument !== IMPORT);
      super(file, { ...options, execArgv: [...execArgv, IMPORT] });
    }
  };
}
