// Numbers, words and elements. Text reaches the page only through text nodes, never as HTML.

const MINUS = "\u2212", TIMES = "\u00d7", THIN = "\u202f", PLUS_MINUS = "\u00b1";
const DASH = "\u2013", NBSP = "\u00a0";

const is_number = (x) => typeof x === "number" && Number.isFinite(x);
const is_object = (x) => x !== null && typeof x === "object" && !Array.isArray(x);
const entries = (x) => (is_object(x) ? Object.entries(x) : []);
const list = (x) => (Array.isArray(x) ? x : []);
/// [smallest, largest] of a list of numbers, however long.
const extent = (all) => all.reduce(([low, high], x) => [Math.min(low, x), Math.max(high, x)],
  [Infinity, -Infinity]);
const words = (name) => String(name).replaceAll("_", " ");

/// What a component says of itself, with minus signs for its hyphens before terms.
const prose = (text) => (text ? text.replace(/(^|[ (|])-(?=[ \w])/g, "$1" + MINUS) : null);

/// element("td", {class: "number"}, "3.1", other_element); null children are left out.
function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/// 1234567 -> "1 234 567" with thin spaces.
function count(x) {
  if (!is_number(x)) return DASH;
  return String(Math.round(x)).replace(/\B(?=(\d{3})+$)/g, THIN).replace("-", MINUS);
}

/// A number to so many significant digits; whole numbers whole, extremes as 1.2 x 10^-7.
function number(x, digits = 4) {
  if (!is_number(x)) return DASH;
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (Number.isInteger(x) && size < 1e9) return count(x);
  if (size >= 1e7 || size < 1e-4) return power(x, digits);
  return fixed(x, Math.max(0, digits - 1 - Math.floor(Math.log10(size))));
}

const SUPERSCRIPTS = { "-": "\u207b", 0: "\u2070", 1: "\u00b9", 2: "\u00b2", 3: "\u00b3",
  4: "\u2074", 5: "\u2075", 6: "\u2076", 7: "\u2077", 8: "\u2078", 9: "\u2079" };

function ten_to(exponent) {
  return "10" + [...String(exponent)].map((c) => SUPERSCRIPTS[c]).join("");
}

function power(x, digits) {
  const [mantissa, exponent] = x.toExponential(digits - 1).split("e");
  return `${mantissa.replace("-", MINUS)}${THIN}${TIMES}${THIN}${ten_to(Number(exponent))}`;
}

/// So many decimals, whatever the size.
function fixed(x, decimals) {
  return is_number(x) ? x.toFixed(decimals).replace("-", MINUS) : DASH;
}

/// The same without zeros that say nothing: "0.0315", not "0.03150".
function trimmed(x, digits) {
  return number(x, digits).replace(/(\.\d*?)0+(?=\D|$)/, "$1").replace(/\.(?=\D|$)/, "");
}

/// A value and its standard error, to two digits of the error: "78.690 +- 0.012".
function with_error(value, error, digits = 5) {
  if (!is_number(value)) return DASH;
  if (!is_number(error)) return trimmed(value, digits);
  if (error <= 0) return `${trimmed(value, digits)} ${PLUS_MINUS} 0`;
  const exponent = Math.floor(Math.log10(Math.max(Math.abs(value), error)));
  const scale = exponent < -4 || exponent > 7 ? 10 ** exponent : 1;
  const decimals = Math.max(0, 1 - Math.floor(Math.log10(error / scale)));
  if (decimals > 12)  // no digit of the value reaches the error's
    return `${trimmed(value, digits)} ${PLUS_MINUS} ${power(error, 1)}`;
  const text = [value, error].map((x) => fixed(x / scale, decimals)).join(` ${PLUS_MINUS} `);
  return scale === 1 ? text : `(${text})${THIN}${TIMES}${THIN}${ten_to(exponent)}`;
}

/// A time in the unit that suits it: [factor, unit].
function time_unit(seconds) {
  const size = Math.abs(seconds);
  if (size >= 1 || size === 0) return [1, "s"];
  return size >= 1e-3 ? [1e3, "ms"] : [1e6, "\u00b5s"];
}

function duration(seconds) {
  if (!is_number(seconds)) return DASH;
  if (seconds < 1) {
    const [factor, unit] = time_unit(seconds);
    return `${number(seconds * factor, 2)} ${unit}`;
  }
  if (seconds < 60) return `${number(seconds, 3)} s`;
  const whole = Math.round(seconds);
  const parts = [[Math.floor(whole / 86400), "d"], [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"], [whole % 60, "s"]];
  const first = parts.findIndex(([n]) => n > 0);
  return parts.slice(first, first + 2).map(([n, unit]) => `${n} ${unit}`).join(" ");
}

/// "2026-03-04T05:06:07Z" -> "2026-03-04 05:06:07 UTC"
function moment(iso) {
  if (typeof iso !== "string" || iso === "") return DASH;
  return iso.replace("T", " ").replace(/(\.\d+)?(Z|\+00:00)$/, " UTC");
}

/// Any JSON value, short.
function brief(value) {
  if (typeof value === "number") return trimmed(value, 6);
  if (value === null || value === undefined) return DASH;
  return typeof value === "string" ? value : JSON.stringify(value);
}

/// table(["size", "rms"], [[1, 0.1], ...]): numbers to the right, the rest as it comes.
function table(heads, rows, caption = null) {
  const cell = (x) => (typeof x === "number" || x === null || x === undefined
    ? element("td", { class: "number" }, number(x)) : element("td", {}, x));
  return element("div", { class: "scroll" }, element("table", {},
    caption && element("caption", {}, caption),
    element("thead", {}, element("tr", {}, heads.map((head, column) => element("th", {
      scope: "col", class: rows.some((row) => is_number(row[column])) ? "number" : null }, head)))),
    element("tbody", {}, rows.map((row) => element("tr", {}, row.map(cell))))));
}

/// A table that is built when it is first opened.
function folded(summary, build) {
  const details = element("details", { class: "folded" }, element("summary", {}, summary));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(build());
  });
  return details;
}
