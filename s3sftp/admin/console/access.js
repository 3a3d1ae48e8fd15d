/** Who was refused: failed logins, and bans with a button that lifts them. */

import { duration } from "./format.js";
import { Table, button, pair, text, time } from "./table.js";

/**
 * @typedef {{id: string, source: string, reason: string, score: number, number: number, seconds: number,
 *   remaining_seconds: number, until: string, replica: string | null}} Ban
 * @typedef {{time: string, user: string, peer: string, method: string, reason: string}} FailedLogin
 */

export class Bans {
  /** @param {(what: string, method: string, path: string) => Promise<void>} act sends, and says what came of it */
  constructor(act) {
    /** @type {Table<Ban>} */
    this.table = new Table(
      "bans",
      "Sources that are banned",
      [
        text("Source", (ban) => ban.source, "code"),
        pair("Why", (ban) => ban.reason, (ban) => (ban.replica === null ? "" : `by ${ban.replica}`), "name"),
        text("Points", (ban) => ban.score, "number"),
        text("Ends in", (ban) => duration(ban.remaining_seconds), "number"),
        button(
          "Lift",
          (ban) => `the ban of ${ban.source}`,
          (ban) => act(`${ban.source} is not banned any more`, "DELETE", `bans/${encodeURIComponent(ban.id)}`),
        ),
      ],
      (ban) => ban.id,
      "Nobody is banned.",
    );
  }

  /**
   * @param {Ban[]} bans
   * @param {string} note
   */
  show(bans, note) {
    this.table.show(bans, note);
  }
}

export class FailedLogins {
  constructor() {
    /** @type {Table<FailedLogin>} */
    this.table = new Table(
      "logins",
      "Logins that failed, the last one first",
      [
        time("At", (login) => login.time),
        text("User", (login) => login.user, "name"),
        text("From", (login) => login.peer, "code"),
        pair("Why", (login) => login.reason, (login) => login.method, "wide"),
      ],
      (login) => JSON.stringify([login.time, login.user, login.peer, login.method]),
      "None since the server was started.",
    );
  }

  /**
   * @param {FailedLogin[]} logins
   * @param {string} note
   */
  show(logins, note) {
    this.table.show(logins, note);
  }
}
