/**
 * How fast each transfer is now, from what two answers of the server differ in. Pure but for its memory.
 *
 * The server tells a transfer's mean rate since its file was opened. That of one which has hung for an hour looks
 * good for a long time; what it has moved in the last seconds does not.
 */

const WINDOW_SECONDS = 10;

export class Speeds {
  constructor() {
    /** @type {Map<string, {at: number, bytes: number}[]>} */
    this.samples = new Map();
  }

  /**
   * Take the live transfers of an answer; those that are missing are forgotten.
   * @param {{id: string, bytes: number}[]} transfers
   * @param {number} at seconds on any clock that never goes back
   */
  take(transfers, at) {
    const kept = new Map();
    for (const { id, bytes } of transfers) {
      const samples = this.samples.get(id) ?? [];
      const last = samples.at(-1); // stays, however long the page was not awake
      kept.set(id, [...samples.filter((each) => each === last || at - each.at <= WINDOW_SECONDS), { at, bytes }]);
    }
    this.samples = kept;
  }

  /**
   * Bytes per second since the oldest sample of the last ten seconds, or the one before; null with one alone.
   * @param {string} id
   * @returns {{rate: number, seconds: number} | null}
   */
  of(id) {
    const samples = this.samples.get(id) ?? [];
    const first = samples[0];
    const last = samples.at(-1);
    if (first === undefined || last === undefined || last.at === first.at) return null;
    const seconds = last.at - first.at;
    return { rate: Math.max(0, last.bytes - first.bytes) / seconds, seconds };
  }
}
