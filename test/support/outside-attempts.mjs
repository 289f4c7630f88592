/**
 * Every way out that the guard of no-outside-sockets.mjs must close, towards addresses that are nobody's (RFC 5737, RFC 3849). Run
 * as a program it prints, as JSON, which of them the guard refused: only ever where there is no network to reach.
 */
import childProcess from 'node:child_process';
import dgram from 'node:dgram';
import dns from 'node:dns';
import dnsPromises from 'node:dns/promises';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { createRequire } from 'node:module';
import net from 'node:net';
import tls from 'node:tls';
import { Worker } from 'node:worker_threads';

const V4 = '192.0.2.1';
const V6 = '2001:db8::1';
const NAME = 'outside.invalid';

const failure = (emitter) => once(emitter, 'error').then(([error]) => Promise.reject(error));
const called = (start) => new Promise((resolve, reject) => start((error) => (error ? reject(error) : resolve())));

async function withUdp(use) {
  const socket = dgram.createSocket('udp4');
  try {
    await use(socket);
  } finally {
    socket.close();
  }
}

async function withServer(server, ...address) {
  try {
    server.listen(...address);
    await once(server, 'listening');
  } finally {
    server.close();
  }
}

async function inWorker(code) {
  const worker = new Worker(code, { eval: true });
  const [message] = await once(worker, 'message');
  if (message) throw Object.assign(new Error(message), { code: message });
}

/** Calls of the C library, where the optional package is there. */
function foreignAttempts() {
  let library;
  try {
    library = createRequire(import.meta.url)(`@koromix/koffi-${process.platform}-${process.arch}`).load(null);
  } catch {
    return {};
  }
  const socket = library.func('int socket(int, int, int)');
  const connect = library.func('int connect(int, void *, uint32)');
  const bind = library.func('int bind(int, void *, uint32)');
  const sendmsg = library.func('int64 sendmsg(int, uint64, int)');
  const close = library.func('int close(int)');
  const withSocket = async (family, use) => {
    const descriptor = socket(family, 2, 0);
    try {
      use(descriptor);
    } finally {
      close(descriptor);
    }
  };
  const v4 = Uint8Array.of(2, 0, 0, 9, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0);
  const v6 = Uint8Array.from({ length: 28, 0: 10, 3: 9, 8: 0x20, 9: 0x01, 10: 0x0d, 11: 0xb8, 23: 1 });
  return {
    'koffi connect': () => withSocket(2, (descriptor) => connect(descriptor, v4, v4.length)),
    'koffi connect over IPv6': () => withSocket(10, (descriptor) => connect(descriptor, v6, v6.length)),
    'koffi bind to every address': () =>
      withSocket(2, (descriptor) => bind(descriptor, Uint8Array.from({ length: 16, 0: 2 }), 16)),
    'koffi send on a socket without an address': () => withSocket(2, (descriptor) => sendmsg(descriptor, 0, 0)),
  };
}

export const ATTEMPTS = {
  ...foreignAttempts(),
  'net.connect(port, host)': () => failure(net.connect(9, V4)),
  'net.connect({ host }) to a name': () => failure(net.connect({ host: NAME, port: 9 })),
  'net.Socket#connect over IPv6': () => failure(new net.Socket().connect({ host: V6, port: 9 })),
  'tls.connect': () => failure(tls.connect({ host: V4, port: 9 })),
  'http.get': () => failure(http.get(`http://${V4}:9/`)),
  'https.get': () => failure(https.get(`https://${V4}:9/`)),
  'http2.connect': () => failure(http2.connect(`http://${V4}:9`)),
  fetch: () =>
    fetch(`http://${V4}:9/`).catch((error) =>
      Promise.reject(error.code === undefined ? (error.cause ?? error) : error),
    ),
  'fetch of a name': () =>
    fetch(`http://${NAME}/`).catch((error) =>
      Promise.reject(error.code === undefined ? (error.cause ?? error) : error),
    ),
  'server.listen(port)': () => withServer(net.createServer(), 0),
  'server.listen(port, 0.0.0.0)': () => withServer(net.createServer(), 0, '0.0.0.0'),
  'server.listen({ host: :: })': () => withServer(http.createServer(), { port: 0, host: '::' }),
  'dgram send': () => withUdp((socket) => called((done) => socket.send('x', 9, V4, done))),
  'dgram send of a part': () => withUdp((socket) => called((done) => socket.send('xyz', 0, 1, 9, V4, done))),
  'dgram connect': () =>
    withUdp(async (socket) => {
      socket.connect(9, V4);
      await once(socket, 'connect');
    }),
  'dgram bind': () => withUdp((socket) => called((done) => socket.bind(0, () => done()))),
  'dgram bind({ address: 0.0.0.0 })': () =>
    withUdp((socket) => called((done) => socket.bind({ port: 0, address: '0.0.0.0' }, () => done()))),
  'dgram addMembership': () => withUdp((socket) => socket.addMembership('239.1.2.3', '127.0.0.1')),
  'dns.lookup': () => called((done) => dns.lookup(NAME, done)),
  'dns.resolve4': () => called((done) => dns.resolve4(NAME, done)),
  'dns.resolve': () => called((done) => dns.resolve(NAME, done)),
  'dns.reverse': () => called((done) => dns.reverse(V4, done)),
  'dns.promises.lookup': async () => dnsPromises.lookup(NAME),
  'dns.promises.resolve6': async () => dnsPromises.resolve6(NAME),
  'dns.promises.resolveTxt': async () => dnsPromises.resolveTxt(NAME),
  'dns.Resolver': () => called((done) => resolver(new dns.Resolver({ timeout: 1, tries: 1 })).resolve4(NAME, done)),
  'dns.promises.Resolver': async () => resolver(new dnsPromises.Resolver({ timeout: 1, tries: 1 })).resolve4(NAME),
  'a worker': () => inWorker(inside),
  'a child with an environment of its own': () =>
    called((done) => {
      const child = childProcess.spawn(process.execPath, ['-e', inside], {
        env: {},
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let output = '';
      child.stdout.on('data', (data) => (output += data));
      child.on('close', () => done(output ? Object.assign(new Error(output), { code: output }) : null));
    }),
  'a child started synchronously': async () => {
    const output = childProcess.execFileSync(process.execPath, ['-e', inside], { env: {}, encoding: 'utf8' });
    if (output) throw Object.assign(new Error(output), { code: output });
  },
};

function resolver(instance) {
  instance.setServers([V4]);
  return instance;
}

/** Tells the code of a refusal, or nothing if a socket was opened: `listen` needs no network to succeed. */
const inside = `
  const net = require('node:net');
  const { parentPort } = require('node:worker_threads');
  const tell = (code) => (parentPort ? parentPort.postMessage(code) : process.stdout.write(code));
  try {
    const server = net.createServer().listen(0, () => server.close(() => tell('')));
  } catch (error) {
    tell(error.code);
  }
`;

/** True if the guard refused; false if the attempt went as far as the system. */
export async function isRefused(attempt) {
  try {
    await attempt();
    return false;
  } catch (error) {
    return error.code === 'ERR_TEST_OUTSIDE';
  }
}

if (process.argv[1] === import.meta.filename) {
  const results = {};
  for (const [name, attempt] of Object.entries(ATTEMPTS)) results[name] = await isRefused(attempt);
  process.stdout.write(JSON.stringify(results));
  process.exit(0);
}
