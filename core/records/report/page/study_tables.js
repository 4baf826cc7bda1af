// The tables of a study's page, broken where the window is too narrow for all columns.

const comparison = data.comparison, columns = list(comparison.table?.columns);
const table_rows = list(comparison.table?.rows), experiments = list(comparison.experiments);
const kColours = 8;

const row_colour = (index) => colour(`c${index % kColours + 1}`);
const swatch = (index) => element("span", { class: "swatch",
  style: `background: var(--c${index % kColours + 1})` });

/// A name that a narrow page may break at its underscores.
const breakable = (name) => name.replaceAll("_", "_\u200b");

const arrow = (column) => ({ lower: NBSP + "\u2193", higher: NBSP + "\u2191" }[column.better] ?? "");

function head_of(column) {
  return [column.label, arrow(column), column.unit ? element("small", {}, column.unit) : null];
}

/// The columns of a metric, that over all runs first; where no key has columns, all in one.
const quality = columns.map((column, index) => ({ column, index }))
  .filter(({ column }) => column.kind === "quality");
const costs = columns.map((column, index) => ({ column, index }))
  .filter(({ column }) => column.kind === "cost");
const by_metric = [...new Set(quality.map(({ column }) => column.metric))].map((metric) =>
  quality.filter(({ column }) => column.metric === metric));
const has_parts = Boolean(comparison.columns);
const short_key = words(String(comparison.columns ?? "").split(".").at(-1));

/// [name, what it is] of a column of quality: of the metric, where that has a meaning as a whole,
/// else of the one measurement.
function meaning_of_column(column) {
  const [metric, estimator = ""] = column.metric.split("/");
  const general = meaning_of(metric);
  const meaning = general ?? info_of(metric, estimator)?.meaning;
  if (!meaning) return null;
  const label = metric_label(metric);
  const name = error_label(metric, estimator) ??
    (general ? words(metric) : `${words(metric)}, ${words(estimator)}`);
  return [name, (label === words(metric) ? "" : label + ": ") + prose(meaning)];
}

/// What the columns measure, each metric once.
function meanings() {
  const told = new Map(columns.filter((column) => column.kind === "quality")
    .map(meaning_of_column).filter(Boolean));
  return told.size === 0 ? null : element("dl", { class: "legend meanings" }, [...told].map(
    ([name, text]) => element("div", {}, element("dt", {}, name), element("dd", {}, text))));
}

/// Why cells are empty, or say less than others: cells name a reason by its letter, the list stands
/// below.
class Reasons {
  all = [];
  mark(why) {
    if (!why) return null;
    if (!this.all.includes(why)) this.all.push(why);
    const place = this.all.indexOf(why);
    const letter = (n) => (n < 26 ? "" : letter(Math.floor(n / 26) - 1)) + String.fromCharCode(97 + n % 26);
    return element("sup", {}, letter(place));
  }
  list() {
    return this.all.length === 0 ? null : element("p", { class: "reasons" }, this.all.map((why) =>
      element("span", {}, this.mark(why), NBSP + why)));
  }
}

/// Columns in groups that have room beside the names of the rows: [[1, 2, 3], [4, 5]].
function packed(widths, room) {
  const groups = [[]];
  let used = widths[0];
  widths.slice(1).forEach((width, i) => {
    if (used + width > room && groups.at(-1).length > 0) {
      groups.push([]);
      used = widths[0];
    }
    groups.at(-1).push(i + 1);
    used += width;
  });
  return groups;
}

/// A table that is broken into several, one below the other, where its columns have no room beside
/// each other. heads: elements th; rows: a th and as many td as there are other heads.
function fitted(heads, rows) {
  const frame = element("div", { class: "fitted" });
  const part = (chosen, row) => [row[0].cloneNode(true), ...chosen.map((i) => row[i])];
  const table_of = (chosen) => element("table", { class: "compare" },
    element("thead", {}, element("tr", {}, part(chosen, heads))),
    element("tbody", {}, rows.map((row) => element("tr", {}, part(chosen, row)))));
  const all = heads.map((_, i) => i).slice(1);
  const plot = { width: 0, group: null };
  plot.draw = () => {
    plot.width = frame.clientWidth;
    const whole = table_of(all);
    frame.replaceChildren(whole);
    if (whole.offsetWidth <= plot.width + 1) return;
    const widths = [...whole.tHead.rows[0].cells].map((cell) => cell.offsetWidth);
    frame.replaceChildren(...packed(widths, plot.width).map(table_of));
  };
  new ResizeObserver(() => {
    if (frame.clientWidth !== plot.width) plot.draw();
  }).observe(frame);
  plots.push(plot);
  return frame;
}

const head_cell = (head, kind = "number") => element("th", { scope: "col", class: kind }, head);
const name_cell = (row, r) => element("th", { scope: "row" }, swatch(r), breakable(row.row));

/// The number, bold where it is best beyond doubt; under it what must be known of it.
function cell_of(cell, column, reasons, kind = "number") {
  const other = cell.estimator && cell.estimator !== column.metric.split("/")[1];
  const runs = cell.stderr_of === "one run" ? "one run" : `${cell.n} run${cell.n === 1 ? "" : "s"}`;
  const below = is_number(cell.mean) && column.kind === "quality"
    ? [other ? words(cell.estimator) : null, runs].filter(Boolean).join(", ") : "";
  return element("td", { class: kind }, cell.significant ? element("b", {}, cell.text) : cell.text,
    reasons.mark(cell.why), below ? element("small", {}, below) : null);
}

function rank_cell(cell) {
  return element("td", { class: "number" }, is_number(cell.mean_rank) ? number(cell.mean_rank, 3) : DASH);
}

/// What stands above the table of one metric: "nll, nats, by name".
function title_of({ column }) {
  return element("h3", {}, column.label, arrow(column),
    element("small", {}, `${column.unit ? ` ${column.unit},` : ""} by ${short_key}`));
}

/// A table of a metric: its mean over the columns and mean rank, then each.
function metric_table(group) {
  const reasons = new Reasons(), [overall, ...parts] = group;
  const ranked = table_rows.some((row) => is_number(row.cells[overall.index].mean_rank));
  const heads = [head_cell("row", null), head_cell("mean"), ranked ? head_cell("mean rank") : null,
    ...parts.map(({ column }) => head_cell(column.of))];
  const rows = table_rows.map((row, r) => [name_cell(row, r),
    cell_of(row.cells[overall.index], overall.column, reasons),
    ranked ? rank_cell(row.cells[overall.index]) : null,
    ...parts.map(({ column, index }) => cell_of(row.cells[index], column, reasons))]);
  return [title_of(overall), fitted(heads.filter(Boolean), rows.map((row) => row.filter(Boolean))),
    reasons.list()];
}

/// Some columns of all rows in one table.
function one_table(shown) {
  const reasons = new Reasons();
  const first_cost = shown.findIndex(({ column }) => column.kind === "cost");
  const kind = ({ column }, i) => ["number", column.kind === "cost" && "cost",
    i === first_cost && i > 0 && "first-cost"].filter(Boolean).join(" ");
  return [fitted([head_cell("row", null), ...shown.map((one, i) => head_cell(head_of(one.column), kind(one, i)))],
    table_rows.map((row, r) => [name_cell(row, r), ...shown.map((one, i) =>
      cell_of(row.cells[one.index], one.column, reasons, kind(one, i)))])), reasons.list()];
}

function write_table() {
  section("comparison", "Comparison",
    ["Mean \u00b1 standard error over the runs of a row (over states, of one run).",
      has_parts ? `Over the values of ${comparison.columns}: the mean of their means, each of equal ` +
        "weight, with the error of its seeds; mean rank: 1 is the best of all." : null,
      `Bold: the best of its column, where it differs from every other row of its target (energy ` +
      `and dataset) at ${comparison.alpha}, all pairs of rows counted.`,
      has_parts ? null : "Right of the line: what it cost.", "Costs: training alone, evaluation excluded."],
    has_parts ? [by_metric.map(metric_table), element("h3", {}, "costs"), one_table(costs)]
      : one_table([...quality, ...costs]),
    meanings());
}

function difference_cell(cell, reasons) {
  const test = cell.difference;
  if (!test) return element("td", { class: "number" }, DASH);
  const [value, p] = String(test.text ?? DASH).split(" (p ");
  const below = [p ? "p " + p.slice(0, -1) : "not tested", `${test.n} pair${test.n === 1 ? "" : "s"}`]
    .join(", ");
  const told = test.n === 0 || String(test.untested ?? "").startsWith("not tested");
  return element("td", { class: "number", title: test.untested ?? null },
    is_number(test.p_holm) && test.p_holm < comparison.alpha ? element("b", {}, value) : value,
    told ? reasons.mark(test.untested) : null, test.n > 0 ? element("small", {}, below) : null);
}

/// The differences in some columns; nothing where no row has one, nor what else is to be said of it.
function difference_table(shown, heads) {
  const tests = (row) => shown.map(({ index }) => row.cells[index].difference).filter(Boolean);
  const rows = table_rows.map((row, r) => [row, r]).filter(([row]) => tests(row).length > 0);
  const told = (test) => test.n > 0 || test.untested !== "no runs to pair";
  if (!rows.some(([row]) => tests(row).some(told))) return null;
  const reasons = new Reasons();
  return [fitted([head_cell(`less ${comparison.baseline}`, null), ...heads.map((head) => head_cell(head))],
    rows.map(([row, r]) => [name_cell(row, r),
      ...shown.map(({ index }) => difference_cell(row.cells[index], reasons))])), reasons.list()];
}

function write_differences() {
  const tables = has_parts
    ? by_metric.map((group) => [group, difference_table(group, ["mean",
      ...group.slice(1).map(({ column }) => column.of)])]).filter(([, made]) => made)
      .map(([group, made]) => [title_of(group[0]), made])
    : [difference_table(quality, quality.map(({ column }) => head_of(column)))].filter(Boolean);
  if (tables.length === 0) return;
  section("differences", "Differences",
    [`From ${comparison.baseline}, within one target, run by run over what two rows share (the seed, ` +
      "above all).", `p: ${comparison.test}. ${comparison.correction}.`, `Bold: p below ${comparison.alpha}.`],
    tables);
}
