/** Transfers: those that are under way with their progress, and those that have ended with the reason. */

import { element, setAttribute, setText } from "./dom.js";
import { bytes, dollars, duration, rate } from "./format.js";
import { Speeds } from "./speed.js";
import { Table, byteCount, pair, showBytes, text, time } from "./table.js";

/**
 * @typedef {object} Transfer
 * @property {string} id
 * @property {string} session
 * @property {string} user
 * @property {string} peer
 * @property {"upload" | "download" | "hash"} direction
 * @property {string} path
 * @property {string | null} bucket
 * @property {string | null} key
 * @property {number} bytes
 * @property {number | null} size
 * @property {number} seconds
 * @property {number} bytes_per_second
 * @property {"live" | "committed" | "failed" | "aborted"} state
 * @property {string | null} reason
 * @property {string | null} error
 * @property {string | null} ended_at
 * @property {string | null} trace_id
 * @property {number} s3_requests
 * @property {number} s3_dollars
 */

const ARROWS = { upload: "↑", download: "↓", hash: "#" };

/**
 * The share of a transfer that is done, from 0 to 1; null if that cannot be told. Pure.
 *
 * An upload's size is not announced in SFTP. A client that reads a part twice moves more than the size.
 * @param {Transfer} transfer
 */
export function share(transfer) {
  if (transfer.size === null || transfer.size <= 0 || transfer.bytes > transfer.size) return null;
  return transfer.bytes / transfer.size;
}

export class LiveTransfers {
  constructor() {
    this.speeds = new Speeds();
    /** @type {Table<Transfer>} */
    this.table = new Table(
      "live",
      "Transfers that are under way",
      [
        { label: "File", kind: "file", update: showFile },
        text("User", (transfer) => transfer.user, "name"),
        { label: "Moved", kind: "number", update: showProgress },
        { label: "Rate", kind: "number", update: (cell, transfer) => this.#showRate(cell, transfer) },
        text("For", (transfer) => duration(transfer.seconds), "number"),
        text("S3 requests", (transfer) => transfer.s3_requests, "number"),
        text("Session", (transfer) => transfer.session, "code"),
      ],
      (transfer) => transfer.id,
      "No file is open for a transfer.",
    );
  }

  /**
   * @param {Transfer[]} transfers all of an answer
   * @param {number} at seconds, when it came
   */
  take(transfers, at) {
    this.speeds.take(transfers, at);
  }

  /**
   * @param {Transfer[]} transfers
   * @param {string} note
   */
  show(transfers, note) {
    this.table.show(transfers, note);
  }

  /**
   * @param {HTMLElement} cell
   * @param {Transfer} transfer
   */
  #showRate(cell, transfer) {
    const now = this.speeds.of(transfer.id);
    const isStalled = now !== null && now.rate === 0;
    setText(cell, isStalled ? `nothing in ${duration(now.seconds)}` : rate(now?.rate ?? transfer.bytes_per_second));
    setAttribute(cell, "title", `on average ${rate(transfer.bytes_per_second)} since it was opened`);
    cell.classList.toggle("stalled", isStalled);
  }
}

export class RecentTransfers {
  constructor() {
    /** @type {Table<Transfer>} */
    this.table = new Table(
      "recent",
      "Transfers that have ended, the last one first",
      [
        time("Ended", (transfer) => transfer.ended_at),
        { label: "File", kind: "file", update: showFile },
        text("User", (transfer) => transfer.user, "name"),
        { label: "Outcome", kind: "outcome", update: showOutcome },
        byteCount("Bytes", (transfer) => transfer.bytes),
        text("Took", (transfer) => duration(transfer.seconds), "number"),
        text("S3", (transfer) => dollars(transfer.s3_dollars), "number"),
        pair("Session, trace", (transfer) => transfer.session, (transfer) => transfer.trace_id, "code"),
      ],
      (transfer) => transfer.id,
      "None since the server was started.",
    );
  }

  /**
   * @param {Transfer[]} transfers
   * @param {string} note
   */
  show(transfers, note) {
    this.table.show(transfers, note);
  }
}

/**
 * The direction and the path as the user sees it; the object is in the title.
 * @param {HTMLElement} cell
 * @param {Transfer} transfer
 */
function showFile(cell, transfer) {
  if (cell.childElementCount === 0) {
    const arrow = element("span", { class: "direction", role: "img" });
    cell.append(arrow, element("bdi"));
  }
  const [arrow, path] = [...cell.children];
  setText(arrow, ARROWS[transfer.direction]);
  setAttribute(arrow, "aria-label", transfer.direction);
  setText(path, transfer.path);
  setAttribute(path, "title", transfer.key === null ? null : `s3://${transfer.bucket}/${transfer.key}`);
}

/**
 * @param {HTMLElement} cell
 * @param {Transfer} transfer
 */
function showProgress(cell, transfer) {
  showBytes(cell, transfer.bytes);
  const done = share(transfer);
  let bar = cell.querySelector("progress");
  if (done === null) {
    bar?.remove();
    cell.querySelector(".of")?.remove();
    return;
  }
  if (bar === null) {
    bar = /** @type {HTMLProgressElement} */ (element("progress", { max: "1" }));
    cell.append(element("span", { class: "of" }), bar);
  }
  bar.value = done;
  setAttribute(bar, "aria-label", `${Math.floor(done * 100)} % of ${bytes(transfer.size ?? 0)}`);
  setText(/** @type {Element} */ (cell.querySelector(".of")), ` of ${bytes(transfer.size ?? 0)}`);
}

/**
 * @param {HTMLElement} cell
 * @param {Transfer} transfer
 */
function showOutcome(cell, transfer) {
  if (cell.childElementCount === 0) cell.append(element("b"), " ", element("span"));
  const [state, why] = [...cell.children];
  const isBad = transfer.state === "failed" || transfer.state === "aborted";
  setText(state, transfer.state);
  state.className = isBad ? "bad" : "good";
  setText(why, [transfer.reason, transfer.error].filter((each) => each).join(": "));
}
