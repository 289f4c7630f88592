/**
 * `fetch` for the bundle: the body is read whole before the response is handed over. The tracker client reads bodies where nobody
 * catches an error, so a tunnel that fails half-way would otherwise end the process.
 */

import type { HostResponse, TunnelHost } from './host.ts';

/** What is read at most of one body, in bytes: more than any .torrent file or piece, and a bound for what a server can cost. */
export const MAX_BODY_BYTES: number = 64 * 1024 * 1024;

/** Only method, headers and signal pass: no agent or dispatcher can lead around the tunnel. Rejects as `host.fetch` does. */
export async function readWhole(host: TunnelHost, url: string | URL, init: RequestInit): Promise<Response> {
  const response = await host.fetch(String(url), {
    method: init.method ?? 'GET',
    headers: Object.fromEntries(new Headers(init.headers)),
    ...(init.signal ? { signal: init.signal } : {}),
  });
  const { status, statusText } = response;
  const body = await readBody(response);
  const headers = [...response.headers].filter(([name]) => !/^content-(encoding|length)$/i.test(name));
  return new Response(body.length > 0 ? body : null, { status, statusText, headers });
}

async function readBody({ body }: HostResponse): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) throw new RangeError(`The response is longer than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole;
}
