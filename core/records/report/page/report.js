// The page: reads its own data and lays the sections out.

const run = data.run, spec = is_object(run.spec) ? run.spec : {};
const metrics = is_object(data.evaluation?.metrics) ? data.evaluation.metrics : {};
const unavailable = is_object(data.evaluation?.unavailable) ? data.evaluation.unavailable : {};

function component(kind) {
  const part = spec[kind];
  if (typeof part === "string") return part;
  if (!is_object(part)) return null;
  const { type, ...rest } = part;
  const plain = Object.entries(rest).filter(([, value]) => typeof value !== "object" && value !== "");
  return [element("b", {}, words(type ?? kind)),
    plain.length > 0 ? " " + plain.map(([key, value]) => `${words(key)} ${brief(value)}`).join(", ")
      : null];
}

/// How many values variables have: all of them where they differ and are few.
function levels_of(space) {
  const each = list(space.cardinalities);
  if (each.length === 0) return brief(space.levels);
  return each.length <= 12 ? each.join(", ") : `${Math.min(...each)} to ${Math.max(...each)}`;
}

function write_header() {
  const status = String(run.status ?? "status not recorded");
  const space = run.space;
  const facts = [
    is_number(run.steps) && `${count(run.steps)} steps`,
    run.train_seconds > 0 && `${duration(run.train_seconds)} of training`,
    run.evaluation_seconds > 0 && `${duration(run.evaluation_seconds)} of evaluation`,
    is_number(run.parameters) && `${count(run.parameters)} parameters`,
    is_number(run.seed) && `seed ${run.seed}`,
    run.device && `${run.device}${is_number(run.threads) ? `, ${run.threads} threads` : ""}`,
  ].filter(Boolean);
  const parts = ["energy", "dataset", "family", "network"].filter((kind) => spec[kind]);
  document.getElementById("top").append(...[
    element("p", { class: "kicker" }, "marginalia run"),
    element("h1", {}, data.name, element("span", { class: "status " + status }, status)),
    element("p", { class: "facts" }, facts.join(" \u00b7 ")),
    typeof spec.note === "string" ? element("p", { class: "note" }, spec.note) : null,
    element("dl", { class: "parts" }, parts.map((kind) => element("div", {},
      element("dt", {}, kind), element("dd", {}, component(kind)))),
    is_object(space) ? element("div", {}, element("dt", {}, "states"), element("dd", {},
      element("b", {}, `${brief(space.dimension)} variables`),
      ` of ${levels_of(space)} levels` +
      (list(space.shape).length > 1 ? `, seen as ${space.shape.join(` ${TIMES} `)}` : ""))) : null),
    ...warnings(status).map((text) => element("p", { class: "warning", role: "note" }, text)),
  ].filter(Boolean));
}

function warnings(status) {
  const planned = spec.training?.steps;
  const of = is_number(planned) && is_number(run.steps)
    ? ` at step ${count(run.steps)} of ${count(planned)}` : "";
  const by_status = {
    running: `The run was still going when this page was written (${moment(data.written)}).`,
    interrupted: `The run was interrupted${of}; "marginalia resume" goes on from its checkpoint.`,
    failed: `The run failed${of}; log.txt beside this page says why.`,
  };
  const sentence = (note) =>
    (/^\w+[./]/.test(note) ? note : note[0].toUpperCase() + note.slice(1)) + ".";
  return [by_status[status], ...list(data.notes).map(sentence)].filter(Boolean);
}

/// The chains that stood for exact samples, and how far they can be trusted.
function reference_note(reference) {
  if (!is_object(reference)) return null;
  if (reference.unavailable) return `No reference samples: ${reference.unavailable}.`;
  const worst = (key) => Math.max(...Object.values(reference[key] ?? {}).filter(is_number));
  return `Reference: ${words(reference.method)}, ${count(reference.chains)} chains of ` +
    `${count(reference.draws)} draws, split R-hat ${number(worst("split_r_hat"))}, ` +
    `autocorrelation time ${number(worst("autocorrelation_time"), 2)} draws, ` +
    `${count(reference.effective_samples)} effective samples, ` +
    `${count(reference.energy_evaluations)} energy evaluations.`;
}

function write_results() {
  if (data.evaluation === null) {
    section("results", "Results", [], element("p", { class: "absent" },
      "Nothing has been evaluated: there is no evaluation.json to read. \"marginalia evaluate\" " +
      "writes it; figures measured while training stand under the learning curves."));
    return;
  }
  const seen = new Set(Object.values(metrics).flatMap((by) => Object.values(by ?? {}))
    .map((entry) => entry?.status));
  const legend = Object.entries(STATUSES).filter(([name]) => seen.has(name))
    .map(([name, [, text]]) => element("div", {},
      element("dt", {}, element("span", { class: "pill " + name }, name)),
      element("dd", {}, text)));
  section("results", "Results",
    [["Measured", is_number(data.evaluation.step) && ` at step ${count(data.evaluation.step)}`,
      typeof data.evaluation.split === "string" && ` on the ${data.evaluation.split} split`,
      is_number(data.evaluation.seconds) && ` in ${duration(data.evaluation.seconds)}`]
      .filter(Boolean).join("") + ".",
    "Every log is natural; log p is normalised.", reference_note(data.evaluation.reference)],
    entries(metrics).length > 0 ? result_table(metrics)
      : element("p", { class: "absent" }, "evaluation.json holds no metric."),
    element("dl", { class: "legend" }, legend), routes_legend());
}

/// How the estimators of the table come to their answers, in the colours of the plots.
function routes_legend() {
  const seen = new Set(Object.values(metrics).flatMap((by) => Object.values(by ?? {})).map(route_of));
  const told = Object.entries(ROUTES).filter(([route]) => seen.has(route));
  return told.length === 0 ? null : element("dl", { class: "legend" }, told.map(([route, text]) =>
    element("div", {}, element("dt", { class: "estimator " + route_class(route) }, route),
      element("dd", {}, text))));
}

/// Curves that share a panel: "eval/log_z/learned" and "eval/log_z/exact" do.
function curve_panels() {
  const panels = new Map();
  for (const curve of list(data.curves)) {
    const [group, name, ...rest] = curve.key.includes("/") ? curve.key.split("/") : ["", curve.key];
    const id = `${group}/${name}`;
    if (!panels.has(id)) panels.set(id, { group, name, curves: [] });
    panels.get(id).curves.push({ ...curve, label: rest.join(" ") || name });
  }
  return [...panels.values()];
}

const controls = { y: "auto", x: "steps", smoothing: 2 };  // smoothing: percent of the curve

/// An average says more than the values only where they are many and turn often.
function is_noisy(values) {
  const turns = values.filter((value, i) =>
    i > 1 && (value - values[i - 1]) * (values[i - 1] - values[i - 2]) < 0).length;
  return values.length >= 40 && turns > 0.2 * values.length;
}

/// Exponential average over a part of the curve (its decay time), started without bias.
function smoothed(values, part) {
  const weight = Math.exp(-1 / (part * values.length));
  let sum = 0, total = 0;
  return values.map((value) => {
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return sum / total;
  });
}

function build_panel({ group, name, curves }) {
  const tables = [], styles = [];
  curves.forEach((curve, index) => {
    const x = curve[controls.x];
    const here = route_colour(route_of(group === "eval" ? metrics[name]?.[curve.label] : null), index);
    const paint = curves.length > 1 || curve.label !== name ? here
      : colour(group === "eval" ? "c2" : "c1");
    const smooth = controls.smoothing > 0 && is_noisy(curve.values);
    const label = estimator_label(curve.label);
    if (smooth) {
      tables.push([x, curve.values]);
      styles.push({ label, colour: paint, width: 1, alpha: 0.3, silent: true });
    }
    tables.push([x, smooth ? smoothed(curve.values, controls.smoothing / 100) : curve.values]);
    styles.push({ label, colour: paint, width: 1.7, points: curve.values.length < 40 });
  });
  const [x, ...columns] = uPlot.join(tables);
  const [low, high] = extent(columns.flat().filter(is_number));
  const spread = low > 0 && high > 30 * low;
  const exact = group === "eval" ? exact_entry(name)?.value : null;
  const ends = curves.map((curve) => `${estimator_label(curve.label)} from ` +
    `${brief(curve.values[0])} to ${brief(curve.values.at(-1))}`);
  return {
    x, series: styles.map((style, i) => ({ ...style, values: columns[i] })),
    log: controls.y === "log" || (controls.y === "auto" && spread),
    axes: { x: controls.x === "steps" ? "step" : "seconds" }, sync: "curves",
    levels: is_number(exact) ? [exact] : [], summary: ends.join("; "),
    marks: !is_number(exact) ? undefined : (context, px, py, ratio, box) =>
      dashed(context, ratio, [box.left, py(exact)], [box.left + box.width, py(exact)], "exact"),
  };
}

function curve_figure(panel) {
  const { group, name, curves } = panel;
  const thinned = curves.filter((curve) => curve.thinned);
  const broken = curves.reduce((sum, curve) => sum + curve.not_finite, 0);
  const notes = [
    thinned.length > 0 && `drawn: extremes among ${count(thinned[0].points)} points`,
    broken > 0 && `not finite: ${count(broken)} of the values recorded`,
  ].filter(Boolean).join("; ");
  const unit = unit_of(name, Object.values(metrics[name] ?? {})[0]) ||
    (/seconds$/.test(name) ? "seconds" : /_per_second$/.test(name) ? "1/s"
      : /(passes|evaluations)$/.test(name) ? "rows" : "(no unit)");
  const shown = every_nth([...new Set(curves.flatMap((curve) => curve.steps))]
    .sort((a, b) => a - b), 60);
  return figure({ title: group === "eval" ? metric_label(name) : words(name), unit, group: "curves",
    note: notes || null, height: 160, build: () => build_panel(panel),
    heads: ["step", ...curves.map((curve) => estimator_label(curve.label))],
    rows: () => {
      const columns = curves.map((curve) =>
        new Map(curve.steps.map((step, i) => [step, curve.values[i]])));
      return shown.map((step) => [step, ...columns.map((column) => column.get(step) ?? null)]);
    } });
}

function curve_controls() {
  const change = (name, value) => {
    controls[name] = value;
    redraw((plot) => plot.group === "curves");
  };
  const select = (name, label, options) => element("label", {}, label + " ",
    element("select", { onchange: (event) => change(name, event.target.value) },
      options.map(([value, text]) => element("option", { value }, text))));
  const shown = element("output", {}, `${controls.smoothing} %`);
  return element("form", { class: "controls", onsubmit: (event) => event.preventDefault() },
    select("y", "y axis", [["auto", "as fits"], ["linear", "linear"], ["log", "logarithmic"]]),
    select("x", "against", [["steps", "step"], ["seconds", "seconds"]]),
    element("label", {}, "smoothing ", element("input", { type: "range", min: 0, max: 10,
      step: 0.5, value: controls.smoothing, oninput: (event) => {
        shown.textContent = `${event.target.value} %`;
        change("smoothing", Number(event.target.value));
      } }), " ", shown));
}

function write_curves() {
  const panels = curve_panels().filter((panel) => panel.curves.some((c) => c.values.length > 0));
  if (panels.length === 0) return;
  const groups = [...new Set(panels.map((panel) => panel.group))];
  section("curves", "Learning curves",
    ["Noisy curves: thin as recorded, thick their exponential average.",
      "A logarithmic axis is used only where all values are positive."],
    curve_controls(), groups.flatMap((group) => [
      groups.length > 1 ? element("h3", {}, { train: "while training", eval: "evaluated on the way",
        "": "other" }[group] ?? words(group)) : null,
      element("div", { class: "plots" },
        panels.filter((panel) => panel.group === group).map(curve_figure))]));
}

/// Metrics with measurements that hold rows under `key` and are drawn in one of these ways.
const metrics_drawn = (key, ...kinds) => Object.keys(metrics).filter((metric) =>
  estimators_with(metrics, metric, key).some(([estimator]) =>
    kinds.includes(info_of(metric, estimator)?.plot ?? kinds[0])));

function write_marginals() {
  const declared_pairs = (metric) => declared(metric).some((info) => info.plot === "pairs");
  const kinds = metrics_drawn("by_size", "pairs").filter(declared_pairs);
  const scatters = metrics_drawn("pairs", "pairs").filter(declared_pairs);
  if (kinds.length + scatters.length === 0) return;
  section("marginals", "Marginals",
    ["log p(x_S) for subsets S, as each estimator answers it, against the reference that the " +
      "table of results names.", "Above the line: the model gives x_S too much."],
    kinds.map((metric) => element("div", { class: "plots wide" }, size_figure(metrics, metric, 260))),
    scatters.map((metric) => [element("div", { class: "plots below" },
      scatter_figures(metrics, metric)), size_key(metrics, metric)]));
}

function write_consistency() {
  const kinds = metrics_drawn("by_size", "by size");
  const calibration = metrics_drawn("bins", "reliability").flatMap((metric) =>
    estimators_with(metrics, metric, "bins").map(([estimator, entry]) =>
      calibration_figure(metric, estimator, entry)));
  const titles = [kinds.length > 0 && "consistency", calibration.length > 0 && "calibration"]
    .filter(Boolean).join(" and ");
  if (titles === "") return;
  section("consistency", titles[0].toUpperCase() + titles.slice(1),
    [kinds.length > 0 && "Whether the model agrees with itself, by the number of variables that " +
      "are known. It needs no oracle; a model can be consistent and wrong.",
    calibration.length > 0 && "Calibration: of the times a value was given probability p, how " +
      "often it came; on the dashed line, as often as said."],
    element("div", { class: "plots" }, kinds.map((metric) => size_figure(metrics, metric, 210)),
      calibration));
}

function write_scores() {
  const figures = list(data.scores).map(score_figure).filter(Boolean);
  if (figures.length === 0) return;
  const of = (key) => list(data.scores).some((score) => is_number(score[key]));
  section("scores", "Scores", ["What the energy says of the model's samples, before a temperature.",
    of("target") && "Dashed: what is wanted of it.",
    of("spread") && "Line: the law of its value if the reward alone decided."],
  element("div", { class: "plots broad" }, figures));
}

const is_drawn = (file) => file.rows.length > 0 && file.rows.every((row) => row.svg);

function write_drawings() {
  const [file] = list(data.samples).filter(is_drawn);
  if (!file) return;
  const all = list(data.samples).find((other) => other.file.endsWith("/samples.jsonl"));
  const chosen = file.rows.every((row) => is_number(row.log_density));
  const of = all ? ` of ${count(all.count)} samples` : "";
  section("drawings", chosen ? "The best" : "Drawings",
    [`${chosen ? "The highest log f" : "The first"}${of}; what reads the same stands once.`,
      "log p: of the sample, along the order it was drawn in, in nats."],
    drawing_grid(file.rows));
}

function write_samples() {
  const kShown = 24;
  const files = list(data.samples).filter((file) => file.rows.length > 0 && !is_drawn(file));
  const blocks = files.map((file) => [
    element("p", { class: "file" }, element("code", {}, file.file), ": ",
      file.rows.length < file.count ? `the first ${count(file.rows.length)} of ` : null,
      count(file.count)),
    sample_views(file.rows.slice(0, kShown), run.space, 0),
    file.rows.length > kShown ? folded(`${file.rows.length - kShown} more`,
      () => sample_views(file.rows.slice(kShown), run.space, kShown)) : null]);
  const pictures = list(data.pictures).map(({ file, source }) => element("figure",
    { class: "picture" }, element("img", { src: source, alt: file }),
    element("figcaption", {}, file)));
  if (blocks.length + pictures.length === 0) return;
  const density = files.some((file) => file.rows.some((row) => "log_density" in row));
  section("samples", "Samples", ["As drawn, none chosen.",
    "log p: of the sample, along the order it was drawn in, in nats.",
    files.some((file) => file.rows.some((row) => list(row.given).includes(null))) &&
      "Completions: what was given, blank where hidden, and what the model made of it; under it " +
      "log p of the whole, by one pass and along one order.",
    density && "log f: the energy's log-density, not normalised, in nats."],
  ...blocks.flat(), pictures);
}

function write_missing() {
  const asked = list(spec.evaluation?.metrics).map((metric) => metric?.type ?? metric)
    .filter((metric) => typeof metric === "string");
  const named = (metric) => Object.keys({ ...metrics, ...unavailable })
    .some((key) => key.split("/")[0] === metric);
  const silent = asked.filter((metric) => !named(metric)).map((metric) => [metric_label(metric),
    data.evaluation === null ? "asked for; the run has not been evaluated"
      : "asked for; evaluation.json says nothing about it"]);
  const told = entries(unavailable).map(([key, reason]) => {
    const [metric, ...estimator] = key.split("/");
    return [[metric_label(metric), ...estimator.map(estimator_label)].join(", "), brief(reason)];
  });
  if (told.length + silent.length === 0) return;
  section("missing", "Not computed", [], table(["metric", "why"], [...told, ...silent]));
}

function write_spec() {
  const overrides = list(run.overrides);
  section("spec", "Spec", ["All defaults filled in; the run can be repeated from it."],
    overrides.length > 0 ? element("p", {}, "Changed on the command line: ",
      element("code", {}, overrides.map(brief).join(" "))) : null,
    element("pre", { tabindex: 0 }, JSON.stringify(spec, null, 2)));
}

function write_provenance() {
  const facts = [
    ["marginalia", [run.version, run.commit && `commit ${run.commit}`].filter(Boolean).join(", ")],
    ["build", run.build], ["host", run.host], ["device", run.device],
    ["threads", run.threads], ["seed", is_number(run.seed) ? String(run.seed) : run.seed],
    ["started", moment(run.started)], ["ended", moment(run.ended)],
    ["training", duration(run.train_seconds)], ["evaluation", duration(run.evaluation_seconds)],
    ["energy evaluations", count(run.energy_evaluations)],
    ["network passes", count(run.network_passes)], ["report written", moment(data.written)],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== DASH);
  section("provenance", "Provenance", [], element("dl", { class: "facts-list" }, facts.map(
    ([name, value]) => element("div", {}, element("dt", {}, name),
      element("dd", {}, brief(value))))),
  list(run.plugins).length > 0 ? table(["plugin", "version", "library"], run.plugins.map((plugin) =>
    [brief(plugin?.name), brief(plugin?.version), element("code", {}, brief(plugin?.library))]))
    : null);
}

write_page([write_header, write_columns, write_results, write_dependencies, write_filled, write_curves,
  write_marginals, write_consistency, write_scores, write_drawings, write_samples, write_missing, write_spec, write_provenance]);
