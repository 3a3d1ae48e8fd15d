/**
 * When to ask the server again. One round at a time: the next begins some time after the last one has ended, so a
 * slow server is never asked twice at once. While it is away the pauses grow, and a hidden page does not ask.
 */

const PAUSE_SECONDS = 2;
const LONGEST_PAUSE_SECONDS = 30;

/**
 * Seconds until the next round. Pure.
 * @param {number} failures rounds without an answer since the last one with an answer
 * @param {number} random from 0 to 1: consoles that lost the server together do not return together
 */
export function pauseSeconds(failures, random) {
  if (failures === 0) return PAUSE_SECONDS;
  const grown = Math.min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * 2 ** failures);
  return grown * (0.75 + random / 4);
}

export class Polling {
  /** @param {() => Promise<boolean>} round asks once; whether the server answered */
  constructor(round) {
    this.round = round;
    this.failures = 0;
    /** Milliseconds since 1970 of the next round; null while one runs, or if none is planned. */
    /** @type {number | null} */
    this.next = null;
    this.isRunning = false;
    this.isWanted = false;
    this.isStopped = true;
    /** @type {number | undefined} */
    this.timer = undefined;
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) void this.now();
    });
  }

  /** Ask from now on. */
  start() {
    this.isStopped = false;
    this.failures = 0;
    return this.now();
  }

  /** Ask no more until `start`. */
  stop() {
    this.isStopped = true;
    this.next = null;
    clearTimeout(this.timer);
  }

  /** Ask at once; after the round that runs, if one does. */
  async now() {
    this.isWanted = this.isRunning;
    if (this.isRunning || this.isStopped) return;
    clearTimeout(this.timer);
    this.next = null;
    this.isRunning = true;
    try {
      this.failures = (await this.round()) ? 0 : this.failures + 1;
    } finally {
      this.isRunning = false;
    }
    if (this.isWanted) await this.now();
    else this.#plan();
  }

  #plan() {
    if (this.isStopped || document.hidden) return;
    const pause = pauseSeconds(this.failures, Math.random()) * 1000;
    this.next = Date.now() + pause;
    this.timer = setTimeout(() => void this.now(), pause);
  }
}
