/** The last minutes as charts: throughput, and requests to S3. */

import { Chart } from "./chart.js";
import { count, rate } from "./format.js";

/**
 * @typedef {object} Series lists of one length
 * @property {string[]} at ends of the intervals
 * @property {number[]} bytes_in
 * @property {number[]} bytes_out
 * @property {number[]} s3_requests
 * @property {number[]} sessions
 * @property {number[]} failures
 */

export const MINUTES = 15;
const INTERVAL_SECONDS = 5;

/** @param {number} value */
function perSecond(value) {
  return `${value < 10 ? value.toFixed(1) : count(value)}/s`;
}

/**
 * The last value and the largest.
 * @param {(value: number) => string} format
 * @returns {(values: number[]) => string}
 */
function lastAndMost(format) {
  return (values) => `${format(values.at(-1) ?? 0)} · peak ${format(Math.max(0, ...values))}`;
}

/** @param {number[]} values */
function sum(values) {
  return count(values.reduce((all, value) => all + value, 0));
}

export class Charts {
  constructor() {
    this.throughput = new Chart("throughput", "Throughput", ["in", "out"], lastAndMost(rate));
    this.requests = new Chart("requests", "Requests to S3", ["S3"], lastAndMost(perSecond));
    this.failures = new Chart("failures", "Failed transfers", ["failed"], sum);
  }

  /** @param {Series} series */
  show(series) {
    if (series.at.length === 0) return;
    const at = series.at.map((each) => Date.parse(each));
    const points = (/** @type {number[]} */ values, divisor = INTERVAL_SECONDS) =>
      values.map((value, index) => ({ at: at[index], value: value / divisor }));
    this.throughput.show([points(series.bytes_in), points(series.bytes_out)], MINUTES);
    this.requests.show([points(series.s3_requests)], MINUTES);
    this.failures.show([points(series.failures, 1)], MINUTES);
  }
}
