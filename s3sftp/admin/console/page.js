/** What is said of the page itself: whether its figures are fresh, what an action came to, and signing in. */

import { byId, setAttribute, setText } from "./dom.js";
import { clock, duration } from "./format.js";

/** Seconds after which figures are called old, although no request has failed. */
const FRESH_SECONDS = 10;

export class Page {
  constructor() {
    /** @type {number | null} */
    this.freshAt = null;
    /** Why the server does not answer; null: it does. */
    /** @type {string | null} */
    this.trouble = null;
  }

  /**
   * A round has ended.
   * @param {string | null} trouble why there was no answer; null: there was
   * @param {boolean} isComplete whether every section has been shown
   */
  answered(trouble, isComplete) {
    this.trouble = trouble;
    if (trouble === null) this.freshAt = Date.now();
    if (trouble === null && isComplete) this.#showFigures();
    this.tick(null, true);
  }

  /**
   * Say how old the figures are.
   * @param {number | null} next milliseconds since 1970 of the next attempt
   * @param {boolean} isRunning
   */
  tick(next, isRunning) {
    const now = Date.now();
    const age = this.freshAt === null ? 0 : (now - this.freshAt) / 1000;
    const isStale = this.trouble !== null || age > FRESH_SECONDS;
    setText(byId("age"), this.#age(age, isStale, next, now, isRunning));
    // a sentence that stays the same while it lasts: a screen reader hears it once
    setText(byId("stale"), isStale ? this.#warning(now) : "");
    setAttribute(document.body, "class", isStale ? "is-stale" : "");
  }

  /**
   * @param {number} age
   * @param {boolean} isStale
   * @param {number | null} next
   * @param {number} now
   * @param {boolean} isRunning
   */
  #age(age, isStale, next, now, isRunning) {
    if (this.freshAt === null) return isStale ? attempt(next, now, isRunning) : "";
    if (!isStale) return `figures of ${clock(this.freshAt, now)} UTC`;
    return `${duration(age)} old, ${attempt(next, now, isRunning)}`;
  }

  /** @param {number} now */
  #warning(now) {
    const why = this.trouble ?? "this page was not awake to ask it";
    if (this.freshAt === null) return `The server does not answer: ${why}.`;
    return `The server has not answered since ${clock(this.freshAt, now)} UTC: ${why}. The figures are those of then.`;
  }

  #showFigures() {
    byId("figures").hidden = false;
    byId("drain").hidden = false;
  }

  /**
   * @param {string} sentence
   * @param {boolean} [isBad]
   */
  say(sentence, isBad = false) {
    setText(byId("said"), sentence);
    setAttribute(byId("said"), "data-bad", isBad ? "true" : null);
  }

  /** @param {string} why */
  askForToken(why) {
    this.freshAt = null;
    this.trouble = null;
    this.tick(null, false);
    for (const id of ["figures", "drain", "sign-out"]) byId(id).hidden = true;
    setText(byId("state"), "");
    setText(byId("said"), "");
    byId("sign-in").hidden = false;
    setText(byId("sign-in-why"), why === "" ? "The admin port asks for its token." : why);
    byId("token").focus();
  }

  signedIn() {
    byId("sign-in").hidden = true;
    byId("sign-out").hidden = false;
    byId("main").focus({ preventScroll: true });
  }
}

/**
 * @param {number | null} next
 * @param {number} now
 * @param {boolean} isRunning
 */
function attempt(next, now, isRunning) {
  if (isRunning || next === null) return "asking";
  return `asking again in ${duration(Math.ceil((next - now) / 1000))}`;
}
