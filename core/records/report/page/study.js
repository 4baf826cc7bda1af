// The page of a study: what comparison.json says, drawn. Nothing is worked out here: means, bands,
// tests and fits stand in that file.

function write_header() {
  const standing = (name) => experiments.filter((e) => e.standing === name).length;
  const counts = ["finished", "running", "unfinished", "altered", "absent"]
    .filter((name) => standing(name) > 0)
    .map((name) => `${standing(name)} ${name === "absent" ? "not run" : name}`);
  const done = standing("finished") === experiments.length;
  const budget = entries(comparison.budget).map(([key, value]) => `${words(key)} ${brief(value)}`);
  document.getElementById("top").append(...[
    element("p", { class: "kicker" }, "marginalia study"),
    element("h1", {}, comparison.study, element("span",
      { class: "status " + (done ? "finished" : "") }, done ? "complete" : "incomplete")),
    element("p", { class: "facts" }, [`${count(experiments.length)} experiments: ` +
      counts.join(", "), budget.length > 0 ? "budget: " + budget.join(", ") : null,
    "written " + moment(comparison.written)].filter(Boolean).join(" \u00b7 ")),
    comparison.note ? element("p", { class: "note" }, comparison.note) : null,
    ...list(comparison.notes).map((note) => element("p", { class: "warning", role: "note" }, note)),
  ].filter(Boolean));
}

/// A band between low and high, under a line that uPlot draws.
function band(context, px, py, one) {
  context.globalAlpha = 0.15;
  context.fillStyle = row_colour(one.colour);
  context.beginPath();
  one.x.forEach((x, i) => context[i === 0 ? "moveTo" : "lineTo"](px(x), py(one.high[i])));
  for (let i = one.x.length - 1; i >= 0; --i) context.lineTo(px(one.x[i]), py(one.low[i]));
  context.fill();
  context.globalAlpha = 1;
}

/// What a point is, beside it, on the side where there is room, and below the names that are there.
function name(context, x, y, label, ratio, there) {
  const left = x > 0.6 * context.canvas.width, line = 12 * ratio;
  context.font = `${11 * ratio}px system-ui, sans-serif`;
  context.textAlign = left ? "right" : "left";
  context.textBaseline = "middle";
  const width = context.measureText(label).width, from = left ? x - width : x;
  const meets = (other) => Math.abs(other.y - y) < line &&
    from < other.from + other.width && other.from < from + width;
  while (there.some(meets)) y += line;
  there.push({ from, width, y });
  context.fillText(label, x + (left ? -6 : 6) * ratio, y);
}

function build_figure(drawn) {
  const x = drawn.series.flatMap((one) => one.x);
  const joined = uPlot.join(drawn.series.map((one) => [one.x, one.y]));
  const [low, high] = extent(x), log_x = drawn.x.log;
  const unit = [-0.03, 1.03];  // of probabilities
  const range_x = drawn.diagonal ? unit
    : log_x ? [low / 1.15, high * 1.15] : padded(low, high, 0.03);
  const marks = (context, px, py, ratio) => {
    const names = [];
    if (drawn.diagonal) dashed(context, ratio, [px(0), py(0)], [px(1), py(1)]);
    for (const one of drawn.series) {
      if (one.style !== "points" && one.low.some((y, i) => y !== one.high[i]))
        band(context, px, py, one);
      context.fillStyle = row_colour(one.colour);
      if (drawn.group === "costs") name(context, px(one.x[0]), py(one.y[0]), one.label, ratio,
        names);
      if (one.style !== "points") continue;
      one.x.forEach((at, i) => disc(context, px(at), py(one.y[i]), 2.6 * ratio));
    }
  };
  return {
    x: joined[0], log_x, log: drawn.y.log, marks, range_x: () => range_x,
    range_y: drawn.diagonal ? unit : undefined,
    levels: drawn.series.flatMap((one) => [...one.low, ...one.high]),
    axes: { x: drawn.x.label, y: drawn.y.label },
    series: drawn.series.map((one, i) => ({
      label: one.label, values: joined[i + 1], colour: row_colour(one.colour), width: 1.8,
      points: one.style === "both" || one.x.length < 25, hidden: one.style === "points",
      dash: one.style === "dashed" || one.colour >= kColours ? [5, 4] : undefined })),
    summary: drawn.series.map((one) => `${one.label} from ${brief(one.y[0])} to ` +
      `${brief(one.y.at(-1))}`).join("; "),
  };
}

/// pick(): the figure to draw now, or null.
function study_figure(title, pick, group = null) {
  return figure({ title, group, height: 270, note: null,
    build: () => (pick() ? build_figure(pick()) : { x: [0, 1], series: [], axes: {}, legend: false }),
    heads: ["series", "x", "mean", "low", "high", "n"],
    rows: () => list(pick()?.series).flatMap((one) => every_nth(one.x.map((x, i) =>
      [one.label, x, one.y[i], one.low[i], one.high[i], one.n[i]]), 40)) });
}

const of_group = (group) => list(comparison.figures).filter((one) => one.group === group);
const AXES = { seconds: "seconds of training", steps: "steps",
  energy_evaluations: "energy evaluations", passes: "network passes" };
let axis = null;

function write_curves() {
  const curves = of_group("curves");
  if (curves.length === 0) return;
  const there = Object.keys(AXES).filter((key) => curves.some((one) => one.axis === key));
  axis = there[0];
  const choose = (event) => {
    axis = event.target.value;
    redraw((plot) => plot.group === "curves");
  };
  section("curves", "Quality against budget",
    ["Measured on the way; line: mean over the runs of a row, as far as all of them reach; band: " +
      "\u00b1 one standard error."],
    element("form", { class: "controls", onsubmit: (event) => event.preventDefault() },
      element("label", {}, "against ", element("select", { onchange: choose },
        there.map((key) => element("option", { value: key }, AXES[key]))))),
    element("div", { class: "plots study" }, [...new Set(curves.map((one) => one.title))].map(
      (title) => study_figure(title,
        () => curves.find((one) => one.title === title && one.axis === axis) ?? null, "curves"))));
}

function write_sizes() {
  const sizes = of_group("sizes");
  if (sizes.length === 0) return;
  section("sizes", "By subset size",
    ["Root mean square error of answers about subsets S, by how many variables S has; dashed: a " +
      "row's second estimator; band: \u00b1 one standard error over its runs."],
    element("div", { class: "plots study" }, sizes.map((one) => study_figure(one.title, () => one))));
}

/// Every metric, and the observables themselves, against the study's axis.
function write_against() {
  const against = of_group("against");
  if (against.length === 0) return;
  section("against", `Against ${words(String(comparison.against).split(".").at(-1))}`,
    ["Line: mean over the runs of a row; band: \u00b1 one standard error over its seeds.",
      "Dashed: the exact value, or the reference's."],
    element("div", { class: "plots study" }, against.map((one) => study_figure(one.title, () => one))));
}

function write_calibration() {
  const calibration = of_group("calibration");
  if (calibration.length === 0) return;
  section("calibration", "Calibration",
    ["Of the times a value was given probability p, how often it came; on the dashed line, as " +
      "often as said. Runs of a row pooled; band: binomial standard error."],
    element("div", { class: "plots study" },
      calibration.map((one) => study_figure(one.title, () => one))));
}

function write_costs() {
  const costs = of_group("costs");
  if (costs.length === 0) return;
  section("costs", "Error against time",
    ["Root mean square error of log p(x_S) against the time of one question, a point an estimator " +
      "of a row; what is exact is drawn at a millionth of a nat."],
    element("div", { class: "plots study" }, costs.map((one) => study_figure(one.title, () => one))));
}

function law_row(law) {
  const axis = law.target ? `${law.target}, ${law.axis}` : law.axis;
  if (law.why) return [axis, law.points, "not fitted: " + law.why, "", "", ""];
  const exponents = [with_error(law.alpha, law.alpha_stderr, 3),
    is_number(law.beta) ? with_error(law.beta, law.beta_stderr, 3) : null].filter(Boolean);
  const percent = (x) => (is_number(x) ? `${number(100 * x, 2)} %` : law.held_out?.why ?? DASH);
  return [axis, law.points, exponents.join(", "), law.E,
    percent(law.held_out?.relative_error_rms), percent(law.held_out?.constant_relative_error_rms)];
}

function write_scaling() {
  const scaling = comparison.scaling ?? {};
  if (!scaling.metric) return;
  section("scaling", "Scaling",
    [`Power laws of ${words(scaling.metric)}, L = E + A x^\u2212exponent; every checkpoint that ` +
      "was measured on the way is a point. Of data and compute, points that none with less beats.",
    "Extrapolation: the largest size, or the upper half of the range, is held out, and the law of " +
      "the rest asked for it; beside it, saying the lowest loss of the rest instead.",
    "Standard errors of exponents: jackknife over the runs."],
    scaling.why ? element("p", { class: "absent" }, scaling.why)
      : table(["against", "points", "exponent", "E", "error of what was held out", "of a constant"],
        scaling.laws.map(law_row)),
    element("div", { class: "plots study below" },
      of_group("scaling").map((one) => study_figure(one.title, () => one))));
}

function write_samples() {
  const shown = list(data.samples).filter((one) => list(one.rows).length > 0);
  if (shown.length === 0) return;
  section("samples", "Samples", ["The first of one run of each row, none chosen.",
    "log p: of the sample, along the order it was drawn in, in nats."],
  element("div", { class: "beside" }, shown.map((one) => element("div", {},
    element("h3", {}, swatch(one.index), one.row, element("small", {}, ` ${one.name}`)),
    sample_views(one.rows, one.space, 0)))));
}

function write_experiments() {
  const seconds = (e) => (is_number(e.costs?.seconds) ? duration(e.costs.seconds) : DASH);
  section("experiments", "Experiments",
    ["Each a run of its own, with its own report; \"marginalia study\" runs what is missing."],
    table(["experiment", "row", "", "training", "run"], experiments.map((e) =>
      [e.name, e.row, [e.standing, e.reason ? element("small", {}, ` ${e.reason}`) : null],
        seconds(e), element("code", {}, e.run)])));
}

write_page([write_header, write_table, write_differences, write_against, write_curves, write_sizes,
  write_calibration, write_costs, write_scaling, write_samples, write_experiments]);
