/** The server's API. The token is kept in memory, goes into the header alone, and never into an address. */

const SECONDS = 9;

/** The server refused, or did not answer. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 if there was no answer
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  /** Whether the server could not be reached. */
  get isAway() {
    return this.status === 0;
  }

  /** Whether the token is missing or wrong; 429: there were too many wrong ones. */
  get isRefused() {
    return this.status === 401 || this.status === 429;
  }
}

export class Api {
  /** @type {string} */
  #token = "";

  /** @param {string} token empty: requests carry none, as for a client certificate */
  use(token) {
    this.#token = token;
  }

  get hasToken() {
    return this.#token !== "";
  }

  /**
   * @param {string} path below `/api/v1/`
   * @param {Record<string, string>} [query] parameters; never anything secret
   * @returns {Promise<any>} what the JSON says
   * @throws {ApiError}
   */
  async get(path, query = {}) {
    const parameters = new URLSearchParams(query).toString();
    return this.send("GET", parameters === "" ? path : `${path}?${parameters}`);
  }

  /**
   * @param {string} method
   * @param {string} path below `/api/v1/`, its parts encoded
   * @returns {Promise<any>} what the JSON says; null if the answer is empty
   * @throws {ApiError}
   */
  async send(method, path) {
    let answer;
    let body;
    try {
      answer = await fetch(`api/v1/${path}`, this.#request(method));
      body = await answer.text();
    } catch (error) {
      throw new ApiError(0, isTimeout(error) ? `no answer in ${SECONDS} s` : "no connection");
    }
    const said = parsed(body);
    if (!answer.ok) throw new ApiError(answer.status, reason(answer, said));
    if (said === undefined) throw new ApiError(answer.status, `the answer to ${path} is no JSON`);
    return said;
  }

  /**
   * @param {string} method
   * @returns {RequestInit}
   */
  #request(method) {
    const headers = new Headers({ Accept: "application/json" });
    if (this.#token !== "") headers.set("Authorization", `Bearer ${this.#token}`);
    return {
      method,
      headers,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      referrerPolicy: "no-referrer",
      signal: AbortSignal.timeout(SECONDS * 1000),
    };
  }
}

/** @param {unknown} error */
function isTimeout(error) {
  return error instanceof DOMException && error.name === "TimeoutError";
}

/**
 * @param {string} body
 * @returns {any} null for an empty body, undefined if it is no JSON
 */
function parsed(body) {
  if (body === "") return null;
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/**
 * Why a request was refused, in the server's words.
 * @param {Response} answer
 * @param {any} said
 */
function reason(answer, said) {
  const words = said?.detail ?? said?.error ?? said?.title;
  return typeof words === "string" && words !== "" ? words : `the server answered ${answer.status}`;
}
