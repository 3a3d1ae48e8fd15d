/** Lines over time as SVG, made by DOM calls. */

import { byId, element, setAttribute, setText } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 72;

/**
 * @typedef {{at: number, value: number}} Point at: milliseconds since 1970
 */

/**
 * The points of a polyline. Pure.
 * @param {Point[]} points
 * @param {number} from
 * @param {number} to
 * @param {number} most what is at the upper edge
 */
export function polyline(points, from, to, most) {
  const span = Math.max(1, to - from);
  return points
    .map(({ at, value }) => {
      const x = ((at - from) / span) * WIDTH;
      const y = HEIGHT - 1 - (Math.min(value, most) / most) * (HEIGHT - 2);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(" ");
}

/** A figure with one or two lines. The second is dashed: colours alone tell nothing to some readers. */
export class Chart {
  /**
   * @param {string} id of a `figure`
   * @param {string} title
   * @param {string[]} names of the lines
   * @param {(values: number[]) => string} summary of a line, as the legend says it
   */
  constructor(id, title, names, summary) {
    this.title = title;
    this.names = names;
    this.summary = summary;
    this.drawing = svg("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": `${title}: no figures yet`,
    });
    this.drawing.append(svg("line", { class: "axis", x1: "0", x2: String(WIDTH), y1: "71.5", y2: "71.5" }));
    this.lines = names.map((_, index) => svg("polyline", { class: `line line-${index + 1}` }));
    this.drawing.append(...this.lines);
    this.legend = names.map((name, index) => new Entry(name, index + 1));
    this.from = element("span");
    const caption = element("figcaption", {}, element("h3", {}, title), ...this.legend.map((each) => each.element));
    const axis = element("div", { class: "axis-labels", "aria-hidden": "true" }, this.from, element("span", {}, "now"));
    byId(id).append(caption, this.drawing, axis);
  }

  /**
   * @param {Point[][]} lines
   * @param {number} minutes that the chart spans, up to the last point
   */
  show(lines, minutes) {
    const to = Math.max(...lines.flat().map((point) => point.at));
    const from = to - minutes * 60_000;
    const peak = Math.max(0, ...lines.flat().map((point) => point.value));
    const said = lines.map((points, index) => this.#line(points, index, from, to, peak));
    setText(this.from, `${minutes} min ago`);
    setAttribute(this.drawing, "aria-label", `${this.title}, last ${minutes} minutes: ${said.join("; ")}`);
  }

  /**
   * @param {Point[]} points
   * @param {number} index
   * @param {number} from
   * @param {number} to
   * @param {number} peak
   */
  #line(points, index, from, to, peak) {
    const said = this.summary(points.map((point) => point.value));
    setAttribute(this.lines[index], "points", polyline(points, from, to, peak || 1));
    this.legend[index].show(said);
    return `${this.names[index]} ${said}`;
  }
}

class Entry {
  /**
   * @param {string} name
   * @param {number} number
   */
  constructor(name, number) {
    this.value = element("b");
    const swatch = svg("svg", { class: "swatch", viewBox: "0 0 20 6", "aria-hidden": "true" });
    swatch.append(svg("line", { class: `line line-${number}`, x1: "0", x2: "20", y1: "3", y2: "3" }));
    this.element = element("span", { class: "entry" }, swatch, `${name} `, this.value);
  }

  /** @param {string} value */
  show(value) {
    setText(this.value, value);
  }
}

/**
 * @param {string} tag
 * @param {Record<string, string>} attributes
 */
function svg(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
