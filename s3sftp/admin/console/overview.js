/** The server as a whole: its state, its load, and what it depends on. */

import { arrange, byId, element, setAttribute, setText } from "./dom.js";
import { bytes, count, duration } from "./format.js";

/**
 * @typedef {{name: string, ok: boolean, detail: string}} Dependency
 * @typedef {object} Status
 * @property {string} version
 * @property {string} started_at
 * @property {number} uptime_seconds
 * @property {"starting" | "ready" | "unready" | "draining"} state
 * @property {number} workers
 * @property {string} log_level
 * @property {Dependency[]} dependencies
 * @property {{connections: number, sessions: number, open_handles: number, buffered_bytes: number,
 *   buffer_bytes: number}} counters
 */

const STATES = {
  starting: "starting: its port is not open yet",
  ready: "ready",
  unready: "not ready: clients would not be served",
  draining: "draining: no new connections, transfers may finish",
};

export class Overview {
  constructor() {
    /** @type {Map<string, HTMLElement>} */
    this.figures = new Map();
    /** @type {Map<string, HTMLElement>} */
    this.dependencies = new Map();
  }

  /** @param {Status} status */
  show(status) {
    const state = byId("state");
    setText(state, STATES[status.state] ?? status.state);
    setAttribute(state, "data-state", status.state);
    const { counters } = status;
    this.#figure("Connections", count(counters.connections));
    this.#figure("Sessions", count(counters.sessions));
    this.#figure("Open files", count(counters.open_handles));
    this.#figure("Buffered", `${bytes(counters.buffered_bytes)} of ${bytes(counters.buffer_bytes)}`);
    this.#figure("Workers", count(status.workers));
    this.#figure("Up for", duration(status.uptime_seconds));
    this.#figure("Version", status.version);
    this.#figure("Log level", status.log_level);
    this.#showDependencies(status.dependencies);
    const drain = /** @type {HTMLButtonElement} */ (byId("drain"));
    drain.disabled = status.state === "draining";
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  #figure(name, value) {
    let shown = this.figures.get(name);
    if (shown === undefined) {
      shown = element("dd");
      this.figures.set(name, shown);
      byId("load").append(element("div", {}, element("dt", {}, name), shown));
    }
    setText(shown, value);
  }

  /** @param {Dependency[]} dependencies */
  #showDependencies(dependencies) {
    const sorted = [...dependencies].sort((one, other) => Number(one.ok) - Number(other.ok));
    const shown = new Map(sorted.map((each) => [each.name, this.#dependency(each)]));
    this.dependencies = shown;
    arrange(byId("health"), [...shown.values()]);
  }

  /** @param {Dependency} dependency */
  #dependency({ name, ok, detail }) {
    const item =
      this.dependencies.get(name) ?? element("li", {}, element("b"), " ", element("span"), element("p"));
    const [state, called, why] = [...item.children];
    setText(state, ok ? "works" : "fails");
    state.className = ok ? "good" : "bad";
    setText(called, name);
    setText(why, detail);
    return item;
  }
}
