/** The latest events, for readers whose connection broke and who tell the last one they have seen. Bounded. */

export interface LoggedEvent {
  readonly id: string;
  /** As it goes over the wire. */
  readonly text: string;
}

export interface Replay {
  /** Whether events between the reader's last and these are gone, or may be. */
  readonly gap: boolean;
  readonly events: readonly LoggedEvent[];
}

export const MAX_EVENTS = 256;
export const MAX_EVENT_LOG_LENGTH: number = 256 * 1024;

export class EventLog {
  /** Part of each id, so that numbers of before a restart are not taken for ours. */
  readonly #epoch: string;
  readonly #events: LoggedEvent[] = [];
  #length = 0;
  #lastNumber = 0;

  /** `epoch`: another one for each start of the process; letters and digits. */
  constructor(epoch: string) {
    this.#epoch = epoch;
  }

  /** Numbers an event and keeps it, at the cost of the oldest. */
  append(name: string, data: unknown): LoggedEvent {
    const id = `${this.#epoch}-${++this.#lastNumber}`;
    const event = { id, text: `id: ${id}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n` };
    this.#events.push(event);
    this.#length += event.text.length;
    while (this.#events.length > MAX_EVENTS || this.#length > MAX_EVENT_LOG_LENGTH)
      this.#length -= this.#events.shift()!.text.length;
    return event;
  }

  /** What came after the event with this id. All that is left, with a gap, if the id is too old or not ours. */
  after(id: string): Replay {
    const [, epoch, digits] = /^(\w+)-(\d{1,15})$/.exec(id) ?? [];
    const oldest = this.#lastNumber - this.#events.length + 1;
    const next = Number(digits) + 1;
    if (epoch !== this.#epoch || next < oldest || next > this.#lastNumber + 1)
      return { gap: true, events: [...this.#events] };
    return { gap: false, events: this.#events.slice(next - oldest) };
  }
}
