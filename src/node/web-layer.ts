/** The socket layer with fetch. A file of its own, because undici was a third of what loading the library took: a tunnel loads it later. */

import type * as undici from 'undici';
import type { EnginePort } from './engine.ts';
import { createDispatcher, createFetch, type FetchFunction } from './fetch.ts';
import { SocketLayer } from './socket-layer.ts';

export class WebLayer extends SocketLayer {
  readonly dispatcher: undici.Dispatcher;
  readonly fetch: FetchFunction;

  constructor(engine: EnginePort) {
    super(engine);
    this.dispatcher = createDispatcher(this.net);
    this.fetch = createFetch(this.dispatcher);
  }

  /** As the socket layer's; what is being fetched is rejected. */
  override async close(): Promise<void> {
    await Promise.all([super.close(), this.dispatcher.destroy()]);
  }
}
