/**
 * What a torrent client must be able to do in order to follow the tunnel. One driver speaks for one client; `Tunnel.attachClient` takes
 * it. The rules (what is paused, marked and resumed, and when it is tried again) are `core/guard`'s, and the same for every client.
 */

/** What the driver says. May be called at any time between `open` and `close`, also from within a command. */
export interface ClientReports {
  /** The client has just got this transfer, from a person or from its own start, and remembers nothing of an earlier pause. */
  added(id: string, running: boolean): void;
  /** How a transfer is: at the start, when it changes, or on a poll. Downloading, seeding and queued are running. */
  transfer(id: string, running: boolean): void;
  /** A person paused or resumed it; the client does so. */
  person(id: string, wish: 'pause' | 'resume'): void;
  /** It is gone from the client. The end of the client itself is `detachClient`. */
  removed(id: string): void;
  /** The client does not answer, or `undefined`: it does again. */
  problem(error: Error | undefined): void;
}

/** Commands may fail or never end: they are given up after 30 s and sent again later, and block nobody meanwhile. */
export interface ClientDriver {
  /** For the status and the events. The same at every start, since markers are kept under it. */
  readonly name: string;
  /** Called once. Every transfer of the client is reported soon, or at once. */
  open(reports: ClientReports): void;
  /** Neither `pause` nor `resume` is reported as a person's word. */
  pause(transfer: string): Promise<void>;
  resume(transfer: string): Promise<void>;
  /**
   * Peers reach the client by this port of the exit, or by none: it applies it, and tells trackers and the DHT if it is another one.
   * Absent: the client does not listen for what the provider forwards.
   */
  setPort?(port: number | undefined): Promise<void>;
  /** Tells trackers and the DHT where it is, though the port is the same. */
  announce(): Promise<void>;
  /** Reports and polls no more, and leaves the client as it is. */
  close(): void;
}
