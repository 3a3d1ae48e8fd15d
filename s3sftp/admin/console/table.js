/** Tables whose rows have identities: a refresh changes texts, and leaves rows, focus and selection alone. */

import { arrange, byId, element, setAttribute, setText } from "./dom.js";
import { bytes, clock } from "./format.js";

/**
 * @template Item
 * @typedef {object} Column
 * @property {string} label
 * @property {(cell: HTMLElement, item: Item, row: Row<Item>) => void} update fills a cell, again at each refresh
 * @property {string} [kind] class of the cells
 */

/**
 * @template Item
 * @typedef {object} Row
 * @property {HTMLElement} element
 * @property {HTMLElement[]} cells
 * @property {Item} item
 */

/** @template Item */
export class Table {
  /**
   * @param {string} id of the section's element that it is put into
   * @param {string} caption
   * @param {Column<Item>[]} columns
   * @param {(item: Item) => string} key
   * @param {string} empty what is said if there is nothing
   */
  constructor(id, caption, columns, key, empty) {
    this.columns = columns;
    this.key = key;
    this.empty = empty;
    /** @type {Map<string, Row<Item>>} */
    this.rows = new Map();
    this.place = byId(id);
    this.body = element("tbody", { role: "rowgroup" });
    const heads = columns.map((each) => head(each.label, each.kind));
    // the roles say again what narrow screens take away, where rows are shown as blocks
    this.table = element(
      "table",
      { role: "table" },
      element("caption", { class: "hidden" }, caption),
      element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...heads)),
      this.body,
    );
    this.note = element("p", { class: "note" });
    this.place.append(this.table, this.note);
    this.table.hidden = true;
  }

  /**
   * @param {Item[]} items
   * @param {string} [note] said below the rows; if there are none, why they may be missing
   */
  show(items, note = "") {
    const before = document.activeElement;
    const had = before !== null && this.body.contains(before);
    const rows = new Map(items.map((item) => [this.key(item), this.#row(item)]));
    this.rows = rows;
    arrange(this.body, [...rows.values()].map((row) => row.element));
    this.table.hidden = items.length === 0;
    setText(this.note, items.length === 0 ? note || this.empty : note);
    if (had && !this.body.contains(before)) this.#keepFocus();
  }

  /** @param {Item} item */
  #row(item) {
    const row = this.rows.get(this.key(item)) ?? this.#made(item);
    row.item = item;
    this.columns.forEach((column, index) => column.update(row.cells[index], item, row));
    return row;
  }

  /**
   * @param {Item} item
   * @returns {Row<Item>}
   */
  #made(item) {
    const cells = this.columns.map((column) =>
      element("td", { role: "cell", "data-label": column.label, class: column.kind ?? "" }),
    );
    return { element: element("tr", { role: "row" }, ...cells), cells, item };
  }

  /** The row with the focus is gone: the reader stays in the section, not at the page's beginning. */
  #keepFocus() {
    const heading = this.place.closest("section")?.querySelector("h2");
    if (heading instanceof HTMLElement) heading.focus({ preventScroll: true });
  }
}

/**
 * @param {string} label
 * @param {string} [kind]
 */
function head(label, kind = "") {
  const shown = label === "" ? element("span", { class: "hidden" }, "Actions") : label;
  return element("th", { scope: "col", role: "columnheader", class: kind }, shown);
}

/**
 * @template Item
 * @param {string} label
 * @param {(item: Item) => unknown} value
 * @param {string} [kind]
 * @returns {Column<Item>}
 */
export function text(label, value, kind = "") {
  return { label, kind, update: (cell, item) => setText(cell, value(item)) };
}

/**
 * A text with a less important one below it.
 * @template Item
 * @param {string} label
 * @param {(item: Item) => unknown} value
 * @param {(item: Item) => unknown} below
 * @param {string} [kind]
 * @returns {Column<Item>}
 */
export function pair(label, value, below, kind = "") {
  return {
    label,
    kind,
    update(cell, item) {
      if (cell.childElementCount === 0) cell.append(element("div"), element("div", { class: "below" }));
      setText(cell.children[0], value(item));
      setText(cell.children[1], below(item));
    },
  };
}

/**
 * A number of bytes; the exact one is in the element's value and title.
 * @template Item
 * @param {string} label
 * @param {(item: Item) => number} value
 * @param {(item: Item) => string} [below] a text below it
 * @returns {Column<Item>}
 */
export function byteCount(label, value, below) {
  return {
    label,
    kind: "number",
    update(cell, item) {
      showBytes(cell, value(item));
      if (below === undefined) return;
      setText(cell.querySelector(".below") ?? cell.appendChild(element("div", { class: "below" })), below(item));
    },
  };
}

/**
 * @param {HTMLElement} place
 * @param {number} amount
 */
export function showBytes(place, amount) {
  const data = place.querySelector("data") ?? place.appendChild(element("data"));
  setAttribute(data, "value", String(amount));
  setAttribute(data, "title", `${amount} bytes`);
  setText(data, bytes(amount));
}

/**
 * @template Item
 * @param {string} label
 * @param {(item: Item) => string | null} value
 * @returns {Column<Item>}
 */
export function time(label, value) {
  return { label, kind: "time", update: (cell, item) => showTime(cell, value(item)) };
}

/**
 * @param {HTMLElement} cell
 * @param {string | null} at
 */
function showTime(cell, at) {
  const shown = cell.querySelector("time") ?? cell.appendChild(element("time"));
  setAttribute(shown, "datetime", at);
  setText(shown, at === null ? "" : clock(at, Date.now()));
}

/**
 * A button in each row. `name` completes its label for screen readers, which hear it without the row.
 * @template Item
 * @param {string} label
 * @param {(item: Item) => string} name
 * @param {(item: Item) => unknown} act
 * @returns {Column<Item>}
 */
export function button(label, name, act) {
  return {
    label: "",
    kind: "action",
    update(cell, item, row) {
      let shown = cell.querySelector("button");
      if (shown === null) {
        shown = /** @type {HTMLButtonElement} */ (element("button", { type: "button" }, label));
        shown.addEventListener("click", () => act(row.item));
        cell.append(shown);
      }
      setAttribute(shown, "aria-label", `${label} ${name(item)}`);
    },
  };
}
