/**
 * Proportional rate reduction (RFC 9937): in recovery the window shrinks to the threshold in proportion to what arrives, instead of
 * falling silent for half a round trip and bursting after.
 */

export class RateReduction {
  #delivered = 0;
  #sent = 0;
  #flightAtStart = 1;

  /** Recovery begins. `flightSize` is RecoverFS (§6.2): outstanding, and not reported before the acknowledgement that told of the loss. */
  begin(flightSize: number): void {
    this.#delivered = 0;
    this.#sent = 0;
    this.#flightAtStart = Math.max(1, flightSize);
  }

  onSent(bytes: number): void {
    this.#sent += bytes;
  }

  /**
   * The congestion window after an acknowledgement that delivered `delivered` bytes, with `inFlight` now in the network. `safe` is
   * true if it moved SND.UNA and told of no new loss: then the slow-start bound (§6.2) applies, else the conservative one.
   */
  window(delivered: number, inFlight: number, threshold: number, mss: number, safe: boolean): number {
    this.#delivered += delivered;
    let allowed: number;
    if (inFlight > threshold) {
      allowed = Math.ceil((this.#delivered * threshold) / this.#flightAtStart) - this.#sent;
    } else {
      const bound = Math.max(this.#delivered - this.#sent, delivered);
      allowed = Math.min(threshold - inFlight, safe ? bound + mss : bound);
    }
    // The retransmission that begins the recovery must not wait.
    if (this.#sent === 0) allowed = Math.max(allowed, mss);
    return inFlight + Math.max(0, allowed);
  }
}
