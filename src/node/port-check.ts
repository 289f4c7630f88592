/** Asks a service outside whether the forwarded port leads here: `portForward.checkUrl`. When is `core/portmap/reachability.ts`. */

import { Reachability, type Reachable, readCheckAnswer } from '../core/portmap/reachability.ts';
import type { Clock } from './clock.ts';
import type { TunnelNet } from './net.ts';
import { requestProbe } from './probe-request.ts';

export interface PortCheckOptions {
  /** See `PortForwardOptions.checkUrl`. */
  readonly url: string;
  readonly net: TunnelNet;
  readonly clock: Clock;
}

/** For one question, in which the checker waits for an answer itself. */
const TIMEOUT_MS = 15_000;

export class PortCheck {
  readonly #options: PortCheckOptions;
  readonly #reachability = new Reachability();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PortCheckOptions) {
    this.#options = options;
  }

  get reachable(): Reachable {
    return this.#reachability.reachable;
  }

  /** The port is mapped anew, or lost. */
  handlePort(port: number | undefined): void {
    this.#reachability.handlePort(port);
    this.#follow();
  }

  close(): void {
    this.handlePort(undefined);
  }

  #follow(): void {
    const { clock, url } = this.#options;
    for (let check = this.#reachability.nextOutput(); check; check = this.#reachability.nextOutput())
      void this.#check(checkUrlFor(url, check.port), check.number);
    clearTimeout(this.#timer);
    const next = this.#reachability.nextTimeout();
    if (next === undefined) return;
    this.#timer = setTimeout(
      () => {
        this.#reachability.handleTimeout(clock.now());
        this.#follow();
      },
      Math.ceil(Math.max(0, next - clock.now())),
    ).unref();
  }

  async #check(url: string, number: number): Promise<void> {
    const { net, clock } = this.#options;
    const answer = await requestProbe({
      net,
      url: new URL(url),
      family: 4,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = typeof answer === 'string' ? '' : new TextDecoder().decode(answer);
    this.#reachability.handleAnswer(number, readCheckAnswer(text), clock.now());
    this.#follow();
  }
}

const PLACEHOLDER = '{{PORT}}';

/** Throws RangeError for what is no template of a web address. */
export function validateCheckUrl(template: string): void {
  if (!URL.canParse(checkUrlFor(template, 1)) || !/^https?:/i.test(template) || !template.includes(PLACEHOLDER))
    throw new RangeError(`"portForward.checkUrl" expected a web address with ${PLACEHOLDER} in it, got ${template}`);
}

function checkUrlFor(template: string, port: number): string {
  return template.replaceAll(PLACEHOLDER, String(port));
}
