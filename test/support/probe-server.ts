/** A "what is my address" server that says what a test wants, byte for byte, and keeps what it was asked. */

import { once } from 'node:events';
import type { TunnelNet } from '../../src/node/net.ts';
import type { TunnelSocket } from '../../src/node/net-socket.ts';

/** Called when a whole request has come. */
export type Reply = (socket: TunnelSocket, request: string) => void;

export class ProbeServer {
  /** The next request gets this one. */
  reply: Reply = () => {};
  /** Whole requests, as they came. */
  readonly requests: string[] = [];
  /** Connections that are open now. */
  connections = 0;

  static async listen(net: TunnelNet, port = 80): Promise<ProbeServer> {
    const probeServer = new ProbeServer();
    const server = net.createServer({ allowHalfOpen: true }, (socket) => probeServer.#serve(socket));
    server.listen(port);
    await once(server, 'listening');
    return probeServer;
  }

  #serve(socket: TunnelSocket): void {
    let request = '';
    this.connections++;
    socket.on('error', () => {}).on('close', () => this.connections--);
    socket.on('data', (chunk: Buffer) => {
      request += chunk.toString('latin1');
      if (!request.endsWith('\r\n\r\n')) return;
      this.requests.push(request);
      this.reply(socket, request);
    });
  }
}

/** A whole response with its length. */
export function says(body: string | Buffer, status = '200 OK', headers: Readonly<Record<string, string>> = {}): Reply {
  const all = { 'Content-Length': String(Buffer.byteLength(body)), Connection: 'close', ...headers };
  return raw(head(status, all), body);
}

/** These bytes, then the end. */
export function raw(...parts: (string | Buffer)[]): Reply {
  return (socket) => {
    for (const part of parts) socket.write(part);
    socket.end();
  };
}

/** `text` at once, then one byte of `rest` in every `intervalMs`, without an end. */
export function drips(text: string, rest: string, intervalMs: number): Reply {
  return (socket) => {
    let at = 0;
    socket.write(text);
    const timer = setInterval(() => socket.write(rest[at++ % rest.length]!), intervalMs);
    socket.on('close', () => clearInterval(timer));
  };
}

/** `chunk` again and again, as fast as it is taken. */
export function pours(text: string, chunk: Buffer): Reply {
  return (socket) => {
    socket.write(text);
    const pour = (): void => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on('drain', pour);
    pour();
  };
}

export function head(status: string, headers: Readonly<Record<string, string>> = {}): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status}\r\n${lines.join('')}\r\n`;
}
