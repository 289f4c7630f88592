/**
 * HTTP on port 80: `/ip` tells the caller's address, anything else is a file of the folder, whole or in ranges (RFC 9110 §14); what is
 * PUT is answered with its SHA-256. Takes note of every request. What `/ip` answers can be scripted for each name that is asked for it. Commands: open, log, script.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, statSync } from 'node:fs';
import http from 'node:http';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { serve } from './rpc.mjs';

const log = [];
let folder;
/** By the name in the Host field: the kind of answer, and what else it takes. */
const scripts = new Map();

/** Each writes one answer to a request for one's own address. */
const ANSWERS = {
  honest: (_, response, { caller }) => response.end(caller),
  text: (_, response, { text, status = 200 }) => response.writeHead(status, { 'Content-Type': 'text/plain' }).end(text),
  redirect: (_, response, { to }) => response.writeHead(302, { Location: to }).end(),
  /** Never a byte. */
  silent: () => {},
  /** A byte each second. */
  slow: (_, response) => {
    response.writeHead(200, { 'Content-Type': 'text/plain' });
    const timer = setInterval(() => response.write(' '), 1_000);
    response.on('close', () => clearInterval(timer));
  },
  hangUp: (request) => request.socket.destroy(),
  gzip: (_, response) =>
    response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(gzipSync(Buffer.alloc(50_000_000))),
  endless: (_, response) => {
    const chunk = Buffer.alloc(65_536, 0x20);
    // One chunk in each turn: whoever hangs up must be noticed.
    const more = () => {
      if (response.destroyed) return;
      if (response.write(chunk)) setImmediate(more);
      else response.once('drain', more);
    };
    more();
  },
};

function sendFile(request, response) {
  const path = join(folder, basename(request.url));
  const { size } = statSync(path);
  const [, first = '0', last = String(size - 1)] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  const end = last === '' ? size - 1 : Number(last);
  response.writeHead(request.headers.range ? 206 : 200, {
    'Content-Length': end - Number(first) + 1,
    'Content-Range': `bytes ${first}-${end}/${size}`,
  });
  createReadStream(path, { start: Number(first), end }).pipe(response);
}

function answer(request, response) {
  // Whoever asks may hang up at any time.
  response.on('error', () => {});
  const caller = request.socket.remoteAddress.replace(/^::ffff:/, '');
  const { url, headers } = request;
  log.push({ url, from: caller, to: request.socket.localAddress, headers, atMs: Date.now() });
  const script = scripts.get(headers.host) ?? { kind: 'honest' };
  if (request.method === 'PUT') {
    const hash = createHash('sha256');
    request.on('data', (chunk) => hash.update(chunk)).on('end', () => response.end(hash.digest('hex')));
  } else if (url.startsWith('/ip')) ANSWERS[script.kind](request, response, { ...script, caller });
  else sendFile(request, response);
}

serve({
  async open({ addresses, folder: of }) {
    folder = of;
    for (const address of addresses) {
      // What lies in the system's buffers counts as sent: with Node's five seconds, slow readers would be cut off (undici takes it ill).
      const server = http.createServer({ keepAliveTimeout: 60_000 }, answer).listen(80, address);
      await once(server, 'listening');
    }
  },
  log: () => log,
  script: ({ host, ...script }) => void scripts.set(host, script),
});
