/** The dialog that asks before something ends. The browser keeps the focus in it, and gives it back. */

import { byId, setText } from "./dom.js";

/**
 * @param {string} title
 * @param {string} detail
 * @param {string} yes label of the button that does it
 * @returns {Promise<boolean>}
 */
export function confirmed(title, detail, yes) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("question"));
  setText(byId("question-title"), title);
  setText(byId("question-detail"), detail);
  setText(byId("question-yes"), yes);
  byId("question-yes").onclick = () => dialog.close("yes");
  byId("question-no").onclick = () => dialog.close("");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
