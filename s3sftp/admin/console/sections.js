/** The sections of the page: what each asks for, how often, and what it says if it gets no answer. */

import { Bans, FailedLogins } from "./access.js";
import { ApiError } from "./api.js";
import { Costs } from "./costs.js";
import { byId, element, setText } from "./dom.js";
import { clock } from "./format.js";
import { Overview } from "./overview.js";
import { Charts, MINUTES } from "./series.js";
import { Sessions } from "./sessions.js";
import { LiveTransfers, RecentTransfers } from "./transfers.js";

const OFTEN_SECONDS = 2;
const SELDOM_SECONDS = 10;
const SHOWN = 100;
const SEARCHED = 1000;

/** @typedef {import("./api.js").Api} Api */
/** @typedef {(done: string, method: string, path: string) => Promise<void>} Act */

/** A part of the page with a request of its own. */
class Section {
  /**
   * @param {string} id of an element in the section
   * @param {number} every seconds
   * @param {() => Promise<void>} ask asks the server and shows the answer
   */
  constructor(id, every, ask) {
    this.every = every * 1000 - 200; // rounds do not come to the millisecond
    this.ask = ask;
    this.asked = 0;
    this.shown = 0;
    this.hasShown = false;
    this.problem = element("p", { class: "problem" });
    byId(id).before(this.problem);
  }

  /** @param {number} now */
  isDue(now) {
    return now - this.asked >= this.every;
  }

  /** Let it be due. */
  expire() {
    this.asked = 0;
  }

  /** @returns {Promise<ApiError | null>} why there is nothing new */
  async refresh() {
    const now = Date.now();
    this.asked = now;
    try {
      await this.ask();
      this.shown = now;
      this.hasShown = true;
      setText(this.problem, "");
      return null;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.isAway) this.expire(); // the next round asks for everything: the figures are to be of one time
      return error;
    }
  }

  /**
   * Say why this section alone has nothing new.
   * @param {ApiError} error
   */
  explain(error) {
    this.hasShown = true;
    const since = this.shown === 0 ? "" : ` What follows is of ${clock(this.shown, Date.now())} UTC.`;
    setText(this.problem, `No new figures: ${error.message}.${since}`);
  }
}

/**
 * All sections.
 * @param {Api} api
 * @param {Act} act
 */
export function sections(api, act) {
  const overview = new Overview();
  const charts = new Charts();
  return [
    new Section("load", OFTEN_SECONDS, async () => overview.show(await api.get("server"))),
    live(api),
    recent(api),
    open(api, act),
    new Section("throughput", SELDOM_SECONDS, async () => charts.show(await api.get("series", { minutes: String(MINUTES) }))),
    list("costs", "costs", SELDOM_SECONDS, {}, new Costs(), api),
    list("bans", "bans", OFTEN_SECONDS, {}, new Bans(act), api),
    list("logins", "logins/failed", SELDOM_SECONDS, { limit: "50" }, new FailedLogins(), api),
  ];
}

/** @param {Api} api */
function live(api) {
  const table = new LiveTransfers();
  return new Section("live", OFTEN_SECONDS, async () => {
    const answer = await api.get("transfers", { state: "live", limit: limit() });
    table.take(answer.items, performance.now() / 1000);
    const found = matching(answer.items);
    table.show(found, notes(answer, found.length));
  });
}

/** @param {Api} api */
function recent(api) {
  const table = new RecentTransfers();
  return new Section("recent", OFTEN_SECONDS, async () => {
    const results = isAllWanted() ? [{}] : [{ result: "failed" }, { result: "aborted" }];
    const answers = await Promise.all(
      results.map((result) => api.get("transfers", { state: "recent", limit: limit(), ...result })),
    );
    const items = answers.flatMap((answer) => answer.items);
    items.sort((one, other) => Date.parse(other.ended_at) - Date.parse(one.ended_at));
    const found = matching(items);
    table.show(found, notes({ items, not_answered: answers[0].not_answered }, found.length));
  });
}

/**
 * @param {Api} api
 * @param {Act} act
 */
function open(api, act) {
  const table = new Sessions(act);
  return new Section("sessions", OFTEN_SECONDS, async () => {
    const answer = await api.get("sessions", { limit: limit() });
    const found = matching(answer.items);
    table.show(found, notes(answer, found.length));
  });
}

/**
 * A section that shows a list as it comes.
 * @param {string} id
 * @param {string} path
 * @param {number} every
 * @param {Record<string, string>} query
 * @param {{show: (items: any[], note: string) => void}} table
 * @param {Api} api
 */
function list(id, path, every, query, table, api) {
  return new Section(id, every, async () => {
    const answer = await api.get(path, query);
    table.show(answer.items, notes(answer, answer.items.length));
  });
}

/** What the reader looks for, in lower case; empty: everything. */
function wanted() {
  return /** @type {HTMLInputElement} */ (byId("filter")).value.trim().toLowerCase();
}

function isAllWanted() {
  return document.querySelector("input[name=result]:checked")?.getAttribute("value") === "all";
}

function limit() {
  return String(wanted() === "" ? SHOWN : SEARCHED);
}

/**
 * @param {any[]} items
 * @returns {any[]}
 */
function matching(items) {
  const words = wanted();
  if (words === "") return items;
  const fields = ["user", "path", "key", "peer", "session", "id", "trace_id", "client"];
  return items.filter((item) =>
    fields.some((field) => String(Reflect.get(item, field) ?? "").toLowerCase().includes(words)),
  );
}

/**
 * What a list does not show.
 * @param {{items: unknown[], next?: string | null, not_answered?: number[], warning?: string | null}} answer
 * @param {number} found
 */
function notes(answer, found) {
  const said = [];
  if (found < answer.items.length) said.push(`${found} of ${answer.items.length} match what is looked for.`);
  const isCut = answer.next || answer.items.length >= Number(limit());
  if (isCut) said.push(`There are more than these ${answer.items.length}.`);
  const silent = answer.not_answered ?? [];
  if (silent.length > 0) said.push(`Worker ${silent.join(", ")} did not answer: what it serves is missing here.`);
  if (answer.warning) said.push(answer.warning);
  return said.join(" ");
}
