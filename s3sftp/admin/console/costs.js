/** What each partner has moved and caused since midnight UTC. */

import { count, dollars } from "./format.js";
import { Table, byteCount, text } from "./table.js";

/**
 * @typedef {{user: string, s3_requests: number, s3_dollars: number, bytes_in: number, bytes_out: number,
 *   files_in: number, files_out: number}} UserCost
 */

export class Costs {
  constructor() {
    /** @type {Table<UserCost>} */
    this.table = new Table(
      "costs",
      "Requests to S3 and what they cost, by user, since midnight UTC",
      [
        text("User", (cost) => cost.user, "name"),
        text("Dollars", (cost) => dollars(cost.s3_dollars), "number"),
        text("S3 requests", (cost) => count(cost.s3_requests), "number"),
        byteCount("In", (cost) => cost.bytes_in, (cost) => files(cost.files_in)),
        byteCount("Out", (cost) => cost.bytes_out, (cost) => files(cost.files_out)),
      ],
      (cost) => cost.user,
      "Nobody has caused a request today.",
    );
  }

  /**
   * @param {UserCost[]} costs
   * @param {string} note
   */
  show(costs, note) {
    const sum = costs.reduce((all, cost) => all + cost.s3_dollars, 0);
    const estimate = `${dollars(sum)} in all, estimated by list prices, without traffic and storage.`;
    this.table.show(costs, costs.length === 0 ? note : [estimate, note].filter((each) => each).join(" "));
  }
}

/** @param {number} number */
function files(number) {
  return `${count(number)} ${number === 1 ? "file" : "files"}`;
}
