/**
 * Values as text. Pure: no document, no clock.
 *
 * Units are decimal, as in the server's log: 1 MB is 1 000 000 bytes. Times are UTC.
 */

const PREFIXES = ["", "k", "M", "G", "T", "P"];
/** What Python's `str.isprintable` denies, so that a name reads the same here and in the log. */
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;
const MOST_CHARACTERS = 1000;

/**
 * A text of a client with its control characters, line breaks and changes of direction escaped, cut after 1000
 * characters.
 * @param {unknown} value
 */
export function visible(value) {
  if (value === null || value === undefined) return "";
  const text = String(value);
  const cut = text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text;
  return cut.replace(HIDDEN, escaped);
}

/** @param {string} character */
function escaped(character) {
  const code = character.codePointAt(0) ?? 0;
  if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}`; // a byte that is not UTF-8
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, "0")}`;
  if (code <= 0xffff) return `\\u${code.toString(16).padStart(4, "0")}`;
  return `\\U${code.toString(16).padStart(8, "0")}`;
}

/**
 * A number of bytes in three digits: `0 B`, `48.2 kB`, `1.07 GB`.
 * @param {number} count
 */
export function bytes(count) {
  let value = count;
  let power = 0;
  while (value >= 999.5 && power < PREFIXES.length - 1) {
    value /= 1000;
    power += 1;
  }
  return `${power === 0 ? Math.round(value) : digits(value)} ${PREFIXES[power]}B`;
}

/** @param {number} perSecond */
export function rate(perSecond) {
  return `${bytes(perSecond)}/s`;
}

/** @param {number} value from 1 to 999 */
function digits(value) {
  if (value < 9.995) return value.toFixed(2);
  return value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}

/**
 * A count with commas between thousands.
 * @param {number} value
 */
export function count(value) {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/**
 * A duration in its two largest units: `41 s`, `2 min 5 s`, `3 d 4 h`.
 * @param {number} seconds
 */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return pair(whole, 60, "min", 1, "s");
  return whole < 86400 ? pair(whole, 3600, "h", 60, "min") : pair(whole, 86400, "d", 3600, "h");
}

/**
 * @param {number} seconds
 * @param {number} large
 * @param {string} largeName
 * @param {number} small
 * @param {string} smallName
 */
function pair(seconds, large, largeName, small, smallName) {
  const rest = Math.floor((seconds % large) / small);
  return `${Math.floor(seconds / large)} ${largeName}${rest ? ` ${rest} ${smallName}` : ""}`;
}

/**
 * An estimate: as many digits as it takes to be more than zero.
 * @param {number} amount
 */
export function dollars(amount) {
  if (amount === 0) return "$0";
  if (amount < 0.000001) return "under $0.000001";
  return `$${amount >= 1 ? amount.toFixed(2) : amount.toFixed(amount >= 0.01 ? 4 : 6)}`;
}

/**
 * The time of day in UTC, with the date if it is not that of `now`.
 * @param {string | number} at ISO 8601, or milliseconds since 1970
 * @param {number} now milliseconds since 1970
 */
export function clock(at, now) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return visible(at);
  const iso = date.toISOString();
  const isToday = iso.slice(0, 10) === new Date(now).toISOString().slice(0, 10);
  return isToday ? iso.slice(11, 19) : `${iso.slice(0, 10)} ${iso.slice(11, 19)}`;
}
