/** The console: asks the server in rounds, and gives each section what it asked for. */

import { Api, ApiError } from "./api.js";
import { Page } from "./page.js";
import { Polling } from "./polling.js";
import { confirmed } from "./question.js";
import { byId, setText } from "./dom.js";
import { sections } from "./sections.js";

const api = new Api();
const page = new Page();
const polling = new Polling(round);
const parts = sections(api, act);

/** Whether the server has taken the token: until then it is tried once a round, because wrong ones are counted. */
let isWelcome = false;

/** Ask for all that is due, at once. Returns whether the server answered. */
async function round() {
  const due = isWelcome ? parts.filter((part) => part.isDue(Date.now())) : parts.slice(0, 1);
  if (due.length === 0) return true;
  const results = await Promise.all(due.map((part) => part.refresh()));
  const refused = results.find((error) => error?.isRefused);
  if (refused) {
    signOut(api.hasToken ? `The server refused this token: ${refused.message}.` : "");
    return false;
  }
  if (!isWelcome && results[0] === null) {
    isWelcome = true;
    return round();
  }
  const isAway = results.every((error) => error?.isAway);
  if (!isAway) results.forEach((error, index) => error && due[index].explain(error));
  page.answered(isAway ? (results[0]?.message ?? "") : null, parts.every((part) => part.hasShown));
  if (!isWelcome && !isAway) page.say(`No figures: ${results[0]?.message}.`, true);
  return !isAway;
}

/**
 * Change something, say what came of it, and show it.
 * @param {string} done the sentence for a success
 * @param {string} method
 * @param {string} path
 */
async function act(done, method, path) {
  try {
    await api.send(method, path);
    page.say(done);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    page.say(`Not done: ${error.message}`, true);
  }
  for (const part of parts) part.expire();
  await polling.now();
}

async function drain() {
  const detail =
    "It takes no new connections from now on, ends when the running transfers have ended or server.drain_timeout " +
    "has passed, and cannot be told otherwise. What supervises the server may start it again.";
  if (await confirmed("Drain the server?", detail, "Drain")) await act("The server drains.", "POST", "drain");
}

/** @param {string} why */
function signOut(why) {
  polling.stop();
  api.use("");
  isWelcome = false;
  page.askForToken(why);
}

/** @param {SubmitEvent} event */
function signIn(event) {
  event.preventDefault();
  const field = /** @type {HTMLInputElement} */ (byId("token"));
  api.use(field.value.trim());
  field.value = "";
  page.signedIn();
  for (const part of parts) part.expire();
  void polling.start();
}

byId("sign-in").addEventListener("submit", (event) => signIn(/** @type {SubmitEvent} */ (event)));
byId("sign-out").addEventListener("click", () => signOut("Signed out."));
byId("drain").addEventListener("click", () => void drain());
byId("filter-form").addEventListener("submit", (event) => event.preventDefault());
for (const name of ["filter", "recent-choice"]) {
  byId(name).addEventListener("input", () => {
    for (const part of parts) part.expire();
    void polling.now();
  });
}
setText(byId("host"), location.host);
setInterval(() => page.tick(polling.next, polling.isRunning), 1000);
const signInBy = document.body.dataset.signIn;
if (signInBy === "off") byId("off").hidden = false;
else if (signInBy === "token") page.askForToken("");
else void polling.start(); // with a client certificate no token is needed
