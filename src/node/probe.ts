/**
 * The leak probe as the tunnel's user sees it: which servers are asked, what the status tells, and what survives a restart. When to
 * ask and what answers mean is `core/guard`; one question is `probe-request.ts`.
 */

import { type Prefix, parsePrefix } from '../core/base/address.ts';
import type { Instant } from '../core/base/instant.ts';
import { PROBE_PROBLEMS } from '../core/guard/family-probe.ts';
import type { FamilyFacts, ProberEvent } from '../core/guard/prober-messages.ts';
import { explain } from '../core/guard/reasons.ts';
import { systemClock } from './clock.ts';
import type { Engine, Mirror, ProbeEvent } from './engine.ts';
import type { ProbeDescription } from './engine-machine.ts';
import { countdown } from './mirror.ts';
import { requestProbe } from './probe-request.ts';
import type { SocketLayer } from './socket-layer.ts';
import type { StateFolder } from './state-folder.ts';
import type { ProbeStatus, Reason } from './status.ts';

export interface ProbeOptions {
  /** Default true. False: nobody is asked, and a leak goes unnoticed. */
  readonly enabled?: boolean;
  /** Between two probes; default 300. */
  readonly intervalSeconds?: number;
  /** Servers that tell their caller's address, as text or JSON: the first is asked, the others confirm. http or https. */
  readonly urls?: readonly string[];
  /** The same for IPv6; an empty list leaves IPv6 unprobed. */
  readonly urlsV6?: readonly string[];
  /** For each question, from the look-up of the name to the last byte; default 10. */
  readonly timeoutSeconds?: number;
  /** The VPN's exit addresses or networks. By default they are learnt. */
  readonly expected?: readonly string[];
  /** `warn`: a leak is told, and everything flows on. For providers that rotate their exits widely. Default `pause`. */
  readonly onMismatch?: 'pause' | 'warn';
}

/** What it needs of the tunnel around it. */
export interface ProbeHost {
  readonly sockets: Pick<SocketLayer, 'net'>;
  readonly engine: Pick<Engine, 'control' | 'mirror'>;
  /** A probe is over. */
  onProbe(status: ProbeStatus): void;
}

/** Of different companies, in different networks: a provider's filter blocks some of them. */
const DEFAULT_URLS = ['https://api.ipify.org', 'https://checkip.amazonaws.com', 'https://ipv4.icanhazip.com'];
const DEFAULT_URLS_V6 = ['https://api6.ipify.org', 'https://v6.ident.me', 'https://ipv6.icanhazip.com'];
/** From this failure on in a row, the status says why; one alone is soon repeated. */
const TELLING_FAILURES = 2;

const OFF: ProbeStatus = { verdict: 'off', ipv4: null, ipv6: null, checkedAt: null, nextInSeconds: null };

interface Waiting {
  readonly resolve: (status: ProbeStatus) => void;
  readonly reject: (error: Error) => void;
}

export class Probe {
  readonly #settings: Omit<ProbeDescription, 'egress'> | undefined;
  readonly #expected: readonly Prefix[];
  /** For the guard. */
  readonly onMismatch: 'pause' | 'warn';
  readonly #urls: Readonly<Record<4 | 6, readonly URL[]>>;
  readonly #state: Pick<StateFolder, 'read' | 'write'>;
  readonly #requests: Map<number, AbortController> = new Map();
  /** By the number of the demand. */
  readonly #waiting: Map<number, Waiting> = new Map();
  #demands = 0;
  #host: ProbeHost | undefined;
  #closed: Error | undefined;

  /** Throws RangeError for an option that makes no sense. */
  constructor(options: ProbeOptions = {}, state: Pick<StateFolder, 'read' | 'write'>) {
    const { enabled = true, urls = DEFAULT_URLS, urlsV6 = DEFAULT_URLS_V6, expected = [] } = options;
    const { intervalSeconds = 1, timeoutSeconds = 1, onMismatch = 'pause' } = options;
    if (!(intervalSeconds > 0))
      throw new RangeError(`"probe.intervalSeconds" expected more than 0, got ${intervalSeconds}`);
    if (!(timeoutSeconds > 0))
      throw new RangeError(`"probe.timeoutSeconds" expected more than 0, got ${timeoutSeconds}`);
    if (onMismatch !== 'pause' && onMismatch !== 'warn')
      throw new RangeError(`"probe.onMismatch" expected pause or warn, got ${JSON.stringify(onMismatch)}`);
    this.#urls = { 4: urls.map((text) => urlOf(text, 'urls')), 6: urlsV6.map((text) => urlOf(text, 'urlsV6')) };
    this.onMismatch = onMismatch;
    this.#state = state;
    this.#expected = expected.map(networkOf);
    if (!enabled) return;
    this.#settings = {
      servers: { 4: urls.length, 6: urlsV6.length },
      ...(options.intervalSeconds === undefined ? {} : { intervalSeconds }),
      ...(options.timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    };
  }

  /** For the engine; `undefined` if the probe is off. */
  get description(): ProbeDescription | undefined {
    const learnt = this.#state.read('exits');
    const egress = { configured: this.#expected, ...(learnt === undefined ? {} : { learnt }) };
    return this.#settings && { ...this.#settings, egress };
  }

  /** Before the first event. */
  attach(host: ProbeHost): void {
    this.#host = host;
  }

  /** From the engine. */
  handleEvent(event: ProbeEvent): void {
    switch (event.kind) {
      case 'ask':
        void this.#ask(event);
        return;
      case 'cancel':
        this.#requests.get(event.number)?.abort();
        return;
      case 'remember':
        this.#state.write('exits', event.text);
        return;
      case 'done':
        this.#finish(event.demands);
        return;
    }
  }

  /** Probes now, and resolves with what came of it; at once with what is known while the tunnel is down. Rejects when closed. */
  probe(): Promise<ProbeStatus> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (!this.#settings) return Promise.resolve(OFF);
    return new Promise((resolve, reject) => {
      const demand = ++this.#demands;
      this.#waiting.set(demand, { resolve, reject });
      this.#host?.engine.control({ kind: 'demand-probe', demand });
    });
  }

  /** A person's word that the exit is the VPN's; then probes. */
  acceptExit(): Promise<ProbeStatus> {
    if (!this.#closed) this.#host?.engine.control({ kind: 'accept-exit' });
    return this.probe();
  }

  status(mirror: Mirror, now: Instant): ProbeStatus {
    const facts = mirror.probe;
    if (!facts) return OFF;
    const of = (family: 4 | 6): ProbeStatus['ipv4'] => {
      const found = facts.families.find((each) => each.family === family);
      return found ? { observed: found.observed ?? null, expected: found.expected } : null;
    };
    return {
      verdict: facts.verdict,
      ipv4: of(4),
      ipv6: of(6),
      checkedAt: facts.checkedAtMs === undefined ? null : new Date(facts.checkedAtMs).toISOString(),
      nextInSeconds: countdown(facts.nextInSeconds, mirror, now),
    };
  }

  /** Why the exit is not well, or not known, though traffic flows. */
  reason(mirror: Mirror): Reason | null {
    const families = mirror.probe?.families ?? [];
    const leak = families.find(({ verdict }) => verdict === 'leak');
    if (leak && this.onMismatch === 'warn') return explain('leak-warned', detailsOf(leak));
    const unknown = families.find(({ failures }) => failures >= TELLING_FAILURES);
    return unknown ? explain('probe-unknown', detailsOf(unknown)) : null;
  }

  /** Gives up what is asked just now; whoever waits for it is rejected with `error`. */
  close(error: Error): void {
    this.#closed = error;
    for (const request of this.#requests.values()) request.abort();
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  async #ask({ number, family, server }: Extract<ProberEvent, { readonly kind: 'ask' }>): Promise<void> {
    const { sockets, engine } = this.#host!;
    const request = new AbortController();
    this.#requests.set(number, request);
    const answer = await requestProbe({
      net: sockets.net,
      // Through a leak, nothing else is let pass.
      admission: {
        admitSocket: (socket) => engine.control({ kind: 'admit-socket', socket }),
        admitQuery: (query) => engine.control({ kind: 'admit-query', query }),
      },
      url: this.#urls[family][server]!,
      family,
      signal: request.signal,
    });
    this.#requests.delete(number);
    engine.control({ kind: 'probe-answer', number, answer });
  }

  #finish(demands: readonly number[]): void {
    const status = this.status(this.#host!.engine.mirror, systemClock.now());
    for (const demand of demands) {
      this.#waiting.get(demand)?.resolve(status);
      this.#waiting.delete(demand);
    }
    this.#host!.onProbe(status);
  }
}

function detailsOf({ family, observed, expected, problem }: FamilyFacts): Record<string, string> {
  return {
    family: `IPv${family}`,
    observed: observed ?? 'not known',
    expected: expected.join(', ') || 'not known',
    why: problem ? PROBE_PROBLEMS[problem] : 'nobody was asked',
  };
}

function urlOf(text: string, option: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol) && !url.username && !url.password) return url;
  throw new RangeError(`"probe.${option}" expected http or https URLs, got ${JSON.stringify(text)}`);
}

function networkOf(text: string): Prefix {
  const network = parsePrefix(text);
  if (network) return network;
  throw new RangeError(`"probe.expected" expected addresses or networks, got ${JSON.stringify(text)}`);
}
