/** Who is connected, with a button that ends a session. */

import { confirmed } from "./question.js";
import { duration } from "./format.js";
import { Table, button, byteCount, pair, text } from "./table.js";

/**
 * @typedef {object} Session
 * @property {string} id
 * @property {string} user
 * @property {string} peer
 * @property {string} client
 * @property {string} method
 * @property {string} started_at
 * @property {number} idle_seconds
 * @property {number | null} worker
 * @property {number} handles
 * @property {number} operations
 * @property {number} bytes_in
 * @property {number} bytes_out
 * @property {string | null} trace_id
 */

export class Sessions {
  /** @param {(what: string, method: string, path: string) => Promise<void>} act sends, and says what came of it */
  constructor(act) {
    /** @type {Table<Session>} */
    this.table = new Table(
      "sessions",
      "SFTP sessions that are open",
      [
        pair("User", (session) => session.user, (session) => session.method, "name"),
        pair("From", (session) => session.peer, (session) => session.client, "wide"),
        text("Open", (session) => duration(age(session)), "number"),
        text("Idle", (session) => duration(session.idle_seconds), "number"),
        text("Files", (session) => session.handles, "number"),
        byteCount("In", (session) => session.bytes_in),
        byteCount("Out", (session) => session.bytes_out),
        pair("Session", (session) => session.id, (session) => session.trace_id, "code"),
        button("Disconnect", (session) => `${session.user} from ${session.peer}`, (session) => end(session, act)),
      ],
      (session) => session.id,
      "Nobody is connected.",
    );
  }

  /**
   * @param {Session[]} sessions
   * @param {string} note
   */
  show(sessions, note) {
    this.table.show(sessions, note);
  }
}

/** @param {Session} session */
function age(session) {
  return (Date.now() - Date.parse(session.started_at)) / 1000;
}

/**
 * @param {Session} session
 * @param {(what: string, method: string, path: string) => Promise<void>} act
 */
async function end(session, act) {
  const files = session.handles === 1 ? "1 open file" : `${session.handles} open files`;
  const detail =
    `The connection from ${session.peer} ends at once, with ${files}. ` +
    "Uploads that have not ended are not stored. The client may connect again.";
  if (!(await confirmed(`Disconnect ${session.user}?`, detail, "Disconnect"))) return;
  await act(`${session.user} from ${session.peer} is being disconnected`, "DELETE", `sessions/${encodeURIComponent(session.id)}`);
}
