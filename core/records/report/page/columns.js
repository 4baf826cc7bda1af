// Of tables: what the columns are, which have to do with which, and rows with hidden cells filled.

const columns = list(data.table?.columns).filter(is_object);
const is_variable = (column) => !["ignored", "weight"].includes(column.kind);

/// A number of a column as it is, a date as days and minutes.
function column_value(column, x) {
  if (!is_number(x)) return DASH;
  if (column.kind !== "date") return String(x).replace("-", MINUS);
  const moment = new Date(1000 * x);
  return Number.isNaN(moment.getTime()) ? DASH : moment.toISOString().slice(0,
    String(column.form ?? "").includes("h") ? 16 : 10).replace("T", " ");
}

/// What is worth a look in a column: its range, its labels, or why it is none of the variables.
function column_note(column) {
  if (column.kind === "weight") return "how much each row counts";
  if (!is_variable(column)) return brief(column.why ?? "");
  if (["number", "date"].includes(column.kind))
    return `${column_value(column, column.low)} to ${column_value(column, column.high)}`;
  const labels = list(column.labels), counts = list(column.counts);
  return labels.map((label, k) => (is_number(counts[k]) ? `${label} (${count(counts[k])})` : label))
    .join(", ") + (column.labels_left_out > 0 ? `, ${count(column.labels_left_out)} more` : "");
}

const percent = (part, all) => (part === 0 ? DASH : `${fixed(100 * part / all, 1)}${THIN}%`);

function write_columns() {
  if (columns.length === 0) return;
  const rows = columns.map((column) => [element("b", {}, brief(column.name)), words(column.kind),
    element("span", { class: "number" }, percent(column.gaps ?? 0, data.table.rows)),
    column.missing === "category" ? `${column_note(column)}; gaps are a value` : column_note(column)]);
  const tests = list(data.table.gap_tests).filter(is_object);
  section("columns", "Columns",
    [`${count(data.table.rows)} rows, ${count(columns.length)} columns, ` +
      `${count(columns.filter(is_variable).length)} of them variables.`,
    tests.length > 0 && "Gaps are taken to be missing at random: given what a row knows, that a " +
      "value is missing says nothing of it. Below: which columns tell of the gaps, by a chi-squared " +
      "test at 0.01 over all pairs (Cramer's V). The model conditions on what they tell; what a gap " +
      "hides from all columns no test can show."],
    table(["column", "kind", "gaps", "values"], rows),
    tests.length > 0 ? table(["gaps of", "rows", "are told of by"], tests.map((test) => [
      element("b", {}, brief(test.column)), percent(test.gaps, test.rows),
      list(test.with).map((link) => `${link.column} ${fixed(link.cramers_v, 2)}`).join(", ") ||
        "no column"])) : null);
}

const SVG = "http://www.w3.org/2000/svg";
function drawn(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/// Variables in an order in which those that depend on one another are near: along the maximum
/// spanning forest of the pairs, which come strongest first.
function in_circle(size, pairs) {
  const root = Array.from({ length: size }, (_, i) => i), near = root.map(() => []);
  const find = (i) => (root[i] === i ? i : (root[i] = find(root[i])));
  for (const [i, j] of pairs) {
    if (find(i) === find(j)) continue;
    root[find(i)] = find(j);
    near[i].push(j);
    near[j].push(i);
  }
  const order = [], seen = new Set();
  const visit = (i) => {
    if (seen.has(i)) return;
    seen.add(i);
    order.push(i);
    near[i].forEach(visit);
  };
  near.map((_, i) => i).sort((i, j) => near[i].length - near[j].length).forEach(visit);
  return order;
}

const kDrawn = 0.1;   // pairs of a smaller r are not drawn
const kFar = 0.1;     // further from the training rows, the samples' r is marked

/// A line a pair, the wider the greater r in the training rows.
function dependency_graph(all_names, all_pairs, width) {
  const shown = [...new Set(all_pairs.flatMap(([i, j]) => [i, j]))];
  const names = shown.map((i) => all_names[i]);
  const pairs = all_pairs.map(([i, j, ...r]) => [shown.indexOf(i), shown.indexOf(j), ...r]);
  const label = (i) => (names[i].length > 18 ? names[i].slice(0, 17) + "\u2026" : names[i]);
  const side = 7 * Math.max(...names.map((_, i) => label(i).length)) + 12;
  const radius = Math.max(50, Math.min(200, width / 2 - side));
  const height = 2 * radius + 56, order = in_circle(names.length, pairs);
  const angle = order.map((_, n) => 2 * Math.PI * (n + 0.5) / names.length);
  const place = [];
  order.forEach((i, n) => {
    place[i] = [width / 2 + radius * Math.sin(angle[n]), height / 2 - radius * Math.cos(angle[n])];
  });
  const lines = [...pairs].reverse().map(([i, j, r, sampled]) => {
    const [[x0, y0], [x1, y1]] = [place[i], place[j]];
    const far = is_number(sampled) && Math.abs(sampled - r) > kFar;
    return drawn("path", { fill: "none", class: far ? "far" : "near", "stroke-width": 1 + 6 * r * r,
      opacity: 0.25 + 0.75 * r, d: `M${x0},${y0} Q${width / 2},${height / 2} ${x1},${y1}` },
    drawn("title", {}, `${names[i]}, ${names[j]}: ${fixed(r, 2)}; samples ${fixed(sampled, 2)}`));
  });
  const texts = order.map((i, n) => {
    const right = Math.sin(angle[n]) >= 0, [x, y] = place[i];
    return [drawn("circle", { cx: x, cy: y, r: 3.5 }), drawn("text", {
      x: x + (right ? 8 : -8), y: y + 4 - 8 * Math.cos(angle[n]),
      "text-anchor": right ? "start" : "end" }, label(i))];
  });
  return drawn("svg", { width, height, class: "graph", role: "img",
    "aria-label": `the strongest dependencies: ${pairs.slice(0, 5).map(([i, j, r]) =>
      `${names[i]} and ${names[j]} ${fixed(r, 2)}`).join(", ")}` }, ...lines, ...texts.flat());
}

function write_dependencies() {
  const drawn_by = metrics_drawn("strongest", "graph");
  for (const metric of drawn_by)
    for (const [, entry] of estimators_with(metrics, metric, "strongest")) {
      const names = list(entry.variables).map(String);
      const pairs = entry.strongest.filter(([i, j, r]) => names[i] && names[j] && is_number(r));
      const lines = pairs.filter(([, , r]) => r >= kDrawn);
      if (lines.length === 0) continue;
      const host = element("div", { class: "plot" });
      let width = 0;
      new ResizeObserver(() => {
        if (host.clientWidth === width || host.clientWidth < 60) return;
        width = host.clientWidth;
        host.replaceChildren(dependency_graph(names, lines, width));
      }).observe(host);
      section("dependencies", "Dependencies",
        [`The ${count(pairs.length)} pairs that depend on one another most in the training rows, ` +
          `those above ${kDrawn} drawn; r is the |correlation| of two normal variables with as ` +
          "much mutual information.",
        `Marked: where r in the model's samples is further than ${kFar} from it.`],
        host, folded("numbers", () => table(["pair", "and", "training rows", "samples", "held-out rows"],
          pairs.map(([i, j, ...r]) => [names[i], names[j], ...r]))));
    }
}

/// The fields of a line of CSV.
function csv_fields(line) {
  const fields = [];
  for (const [, quoted, plain] of ("," + line).matchAll(/,(?:"((?:[^"]|"")*)"|([^,]*))/g))
    fields.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
  return fields;
}

/// Rows with hidden cells: what the model says of each, how probable it finds it, and what it was.
function filled_table(examples) {
  const names = columns.filter(is_variable).map((column) => brief(column.name));
  const rows = examples.map((example) => {
    const [filled, was] = [example.filled, example.was].map((line) => csv_fields(String(line ?? "")));
    return names.map((_, i) => {
      const p = list(example.probability)[i];
      if (!is_number(p)) return was[i] ?? "";
      return element("span", { class: filled[i] === was[i] ? "hidden right" : "hidden" }, filled[i] ?? "",
        element("small", {}, ` ${fixed(100 * p, 0)}${THIN}%`, filled[i] === was[i] ? "" : `, was ${was[i]}`));
    });
  });
  return table(names, rows);
}

function write_filled() {
  if (columns.length === 0) return;
  const shares = entries(metrics.held_out_cells).filter(([, entry]) => list(entry?.examples).length > 0);
  if (shares.length === 0) return;
  const [name, entry] = shares[Math.floor((shares.length - 1) / 2)];
  section("filled", "Filled cells",
    [`Held-out rows of which ${words(name).replace("hidden ", "")}${THIN}% of the cells were hidden: ` +
      "what the model says from the rest, how probable it finds it, and what it was. Numbers, said and " +
      "true, are the middle of their bin.",
    is_number(entry.accuracy) && `Right: ${fixed(100 * entry.accuracy, 1)}${THIN}% of all hidden cells.`],
    filled_table(entry.examples));
}
