/** Counts of what was dropped, by reason. Reasons are kebab-case words that also stand in the status and the documents. */
export class DropCounter<Reason extends string> {
  readonly #counts: Map<Reason, number> = new Map();

  count(reason: Reason, howMany: number = 1): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + howMany);
  }

  of(reason: Reason): number {
    return this.#counts.get(reason) ?? 0;
  }

  /** A plain object for the status snapshot; reasons that never occurred are absent. */
  toJSON(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }
}
