import { expectTypeOf, it } from 'vitest';
import type { Tunnel } from '../../src/node/tunnel.ts';
import type { WebLayer } from '../../src/node/web-layer.ts';
import type { TunnelHost } from '../../src/torrent/webtorrent.ts';

it('takes the public Tunnel, and the sockets of any other engine, for a host (CONTRACT "Library")', () => {
  expectTypeOf<Tunnel>().toExtend<TunnelHost>();
  expectTypeOf<WebLayer>().toExtend<TunnelHost>();
});
