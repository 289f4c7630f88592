/** HTTP over the sockets: Node's own client and server, with our agents between them. */

import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CERTIFICATE, KEY } from './self-signed.ts';
import { closed, delay, listen, pattern, readAll, type SocketWorld } from './socket-world.ts';

export interface HttpWorld {
  readonly sockets: SocketWorld;
  readonly httpAgent: http.Agent;
  readonly httpsAgent: https.Agent;
}

interface Site {
  readonly port: number;
  readonly host: string;
  /** Connections so far. */
  connections: number;
}

/** An HTTP or HTTPS server on the world's own listener. */
export async function serve(world: SocketWorld, handler: http.RequestListener, secure = false): Promise<Site> {
  const server = secure ? https.createServer({ key: KEY, cert: CERTIFICATE }, handler) : http.createServer(handler);
  const { port } = await listen(world, (socket) => {
    site.connections++;
    server.emit('connection', socket);
  });
  const site: Site = { port, host: world.server.address, connections: 0 };
  server.on('clientError', (_error, socket) => socket.destroy());
  onTestFinished(() => server.closeAllConnections());
  return site;
}

export function describeHttp(world: () => HttpWorld): void {
  const get = (site: Site, options: http.RequestOptions = {}): Promise<http.IncomingMessage> =>
    new Promise((resolve, reject) => {
      const { host, port } = site;
      http.get({ host, port, agent: world().httpAgent, ...options }, resolve).on('error', reject);
    });

  describe('node:http with the agent', () => {
    it('gets a page', async () => {
      const site = await serve(world().sockets, (request, response) => response.end(`you asked for ${request.url}`));
      const response = await get(site, { path: '/page' });
      expect([response.statusCode, String(await readAll(response))]).toEqual([200, 'you asked for /page']);
    });

    it('keeps a connection alive for the next request', async () => {
      const site = await serve(world().sockets, (_request, response) => response.end('x'));
      for (let i = 0; i < 3; i++) {
        const response = await get(site);
        await readAll(response);
        await delay(10);
      }
      expect(site.connections).toBe(1);
    });

    it('makes a new connection when the server has closed the old one', async () => {
      const site = await serve(world().sockets, (_request, response) =>
        response.setHeader('connection', 'close').end('x'),
      );
      await readAll(await get(site));
      await delay(30);
      await readAll(await get(site));
      expect(site.connections).toBe(2);
    });

    it('streams a large body up and down', async () => {
      const site = await serve(world().sockets, (request, response) => request.pipe(response));
      const { host, port } = site;
      const bytes = pattern(1 << 20);
      const request = http.request({ host, port, method: 'POST', agent: world().httpAgent });
      const answered = once(request, 'response');
      request.end(bytes);
      const [response] = await answered;
      expect((await readAll(response)).equals(bytes)).toBe(true);
    });

    it('holds back the server while the response is not read', async () => {
      const chunk = Buffer.alloc(256 * 1024);
      let sent = 0;
      const site = await serve(world().sockets, (_request, response) => {
        const pump = (): void => {
          while (sent < 64 << 20) {
            sent += chunk.length;
            if (!response.write(chunk)) return void response.once('drain', pump);
          }
        };
        pump();
      });
      const response = await get(site);
      await delay(200);
      expect(sent).toBeLessThan(world().sockets.mostUnread + chunk.length * 8);
      response.destroy();
    });

    it('serves many requests at once', async () => {
      const site = await serve(world().sockets, (request, response) => response.end(request.url));
      const answers = await Promise.all(
        Array.from({ length: 20 }, async (_, i) => String(await readAll(await get(site, { path: `/${i}` })))),
      );
      expect(answers).toEqual(Array.from({ length: 20 }, (_, i) => `/${i}`));
    });

    it('tells the server that a request was abandoned', async () => {
      const arrived = new Promise<http.IncomingMessage>((resolve) => {
        void serve(world().sockets, resolve).then(({ host, port }) => {
          const request = http.get({ host, port, agent: world().httpAgent });
          request.on('error', () => {});
          void arrived.then(() => request.destroy());
        });
      });
      await closed(await arrived);
    });

    it('fails a request that its signal aborts', async () => {
      const site = await serve(world().sockets, () => {});
      const abort = new AbortController();
      const failed = get(site, { signal: abort.signal });
      setTimeout(() => abort.abort(), 20);
      await expect(failed).rejects.toMatchObject({ name: 'AbortError' });
    });

    it('fails with ECONNREFUSED where nobody listens', async () => {
      const { server, port } = await listen(world().sockets);
      await new Promise((resolve) => server.close(resolve));
      const site = { port, host: world().sockets.server.address, connections: 0 };
      await expect(get(site)).rejects.toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect' });
    });

    it('emits timeout for a request that nobody answers', async () => {
      const { host, port } = await serve(world().sockets, () => {});
      const request = http.get({ host, port, agent: world().httpAgent, timeout: 50 });
      request.on('error', () => {});
      await once(request, 'timeout');
      request.destroy();
    });

    it('takes the name of a host', async () => {
      const site = await serve(world().sockets, (request, response) => response.end(request.headers.host));
      const response = await get(site, { host: world().sockets.serverName, family: 4 });
      expect(String(await readAll(response))).toBe(`${world().sockets.serverName}:${site.port}`);
    });
  });

  describe('node:https with the agent', () => {
    const getSecure = (site: Site, options: https.RequestOptions = {}): Promise<http.IncomingMessage> =>
      new Promise((resolve, reject) => {
        const { host, port } = site;
        https.get({ host, port, agent: world().httpsAgent, ca: CERTIFICATE, ...options }, resolve).on('error', reject);
      });

    it('gets a page from a server that it trusts', async () => {
      const site = await serve(world().sockets, (_request, response) => response.end('secret'), true);
      const response = await getSecure(site);
      expect((response.socket as TLSSocket).authorized).toBe(true);
      expect(String(await readAll(response))).toBe('secret');
    });

    it('verifies the certificate', async () => {
      const site = await serve(world().sockets, (_request, response) => response.end('secret'), true);
      await expect(getSecure(site, { ca: undefined })).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    });

    it('verifies the name', async () => {
      const site = await serve(world().sockets, (_request, response) => response.end('secret'), true);
      await expect(getSecure(site, { servername: 'other.test' })).rejects.toMatchObject({
        code: 'ERR_TLS_CERT_ALTNAME_INVALID',
      });
    });

    it('keeps a connection alive for the next request', async () => {
      const site = await serve(world().sockets, (_request, response) => response.end('x'), true);
      for (let i = 0; i < 3; i++) {
        await readAll(await getSecure(site));
        await delay(10);
      }
      expect(site.connections).toBe(1);
    });

    it('resumes the TLS session on a new connection', async () => {
      const site = await serve(
        world().sockets,
        (_request, response) => response.setHeader('connection', 'close').end('x'),
        true,
      );
      const reused: boolean[] = [];
      for (let i = 0; i < 2; i++) {
        const response = await getSecure(site);
        reused.push((response.socket as TLSSocket).isSessionReused());
        await readAll(response);
        await delay(30);
      }
      expect(reused).toEqual([false, true]);
    });

    it('streams a large body up and down', async () => {
      const { host, port } = await serve(world().sockets, (request, response) => request.pipe(response), true);
      const bytes = pattern(1 << 20);
      const agent = world().httpsAgent;
      const request = https.request({ host, port, method: 'POST', agent, ca: CERTIFICATE });
      const answered = once(request, 'response');
      request.end(bytes);
      const [response] = await answered;
      expect((await readAll(response)).equals(bytes)).toBe(true);
    });

    it('fails with ECONNRESET if the server hangs up in the handshake', async () => {
      const { port } = await listen(world().sockets, (socket) => socket.once('data', () => socket.destroy()));
      const site = { port, host: world().sockets.server.address, connections: 0 };
      await expect(getSecure(site)).rejects.toMatchObject({ code: 'ECONNRESET' });
    });

    it('fails with ECONNREFUSED where nobody listens', async () => {
      const { server, port } = await listen(world().sockets);
      await new Promise((resolve) => server.close(resolve));
      const site = { port, host: world().sockets.server.address, connections: 0 };
      await expect(getSecure(site)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    });
  });
}
