// The figures and tables of an evaluation: results, subset sizes, scatter, calibration, samples.

/// How an estimator comes to its answer (Route of query.h): what that means, and its colour.
const ROUTES = {
  "one pass": "the model, asked once",
  "along order": "sum of log-conditionals along one order",
  ensemble: "log-mean-exp over several orders",
  importance: "importance sampling from the model",
  exact: "an oracle",
};

/// Sign before the value, and what the status means.
const STATUSES = {
  exact: ["=", "computed in full, nothing sampled or approximated"],
  upper: ["\u2264", "a bound from above, in expectation: the true figure is at most this"],
  lower: ["\u2265", "a bound from below, in expectation: the true figure is at least this"],
  estimate: ["\u2248", "an estimate, no bound either way"],
};

const declared = (metric) => list(facts[metric]).filter(is_object);

/// What a metric declares of one of its measurements: under its own name, else under the longest
/// beginning that ends in "*"; null where nothing is.
function info_of(metric, estimator) {
  const fit = ({ estimator: name }) => (name === estimator ? Infinity
    : String(name).endsWith("*") && estimator.startsWith(name.slice(0, -1)) ? name.length : 0);
  const [best] = declared(metric).filter((info) => fit(info) > 0).sort((a, b) => fit(b) - fit(a));
  return best ?? null;
}

/// What is said of a metric as a whole: what it declares of all measurements, else the meaning that
/// they share.
function meaning_of(metric) {
  const all = declared(metric);
  const general = all.find((info) => info.estimator === "*");
  if (general) return general.meaning;
  return all.every((info) => info.meaning === all[0].meaning) ? all[0]?.meaning ?? null : null;
}

const metric_label = (metric) => declared(metric)[0]?.label || words(metric);
const estimator_label = words;
/// "error of energy": an error that is not to be taken for the quantity itself.
const error_label = (metric, estimator) =>
  (metric_label(metric).startsWith("error of ") && estimator ? `error of ${words(estimator)}` : null);
const route_of = (entry) => (Object.hasOwn(ROUTES, entry?.route ?? "") ? entry.route : null);
const route_class = (route) => "route-" + (route ?? "other").replaceAll(" ", "-");

/// What a metric says of one estimator alone; null where that is nothing.
function own_meaning(metric, estimator) {
  const own = info_of(metric, estimator)?.meaning;
  return own && own !== meaning_of(metric) ? prose(own) : null;
}

/// Of a route, its own colour; of others, by their place, one that no route has.
function route_colour(route, index = 0) {
  return colour(route ? route_class(route) : `route-other-${index % 4 + 1}`);
}

/// The measurement that others are held against: an oracle's.
function exact_entry(metric) {
  const [found] = entries(data.evaluation?.metrics?.[metric]).filter(([estimator, entry]) =>
    is_object(entry) && entry.status === "exact" &&
      (entry.route === "exact" || info_of(metric, estimator)?.column === "aside"));
  return found ? { estimator: found[0], ...found[1] } : null;
}

function unit_of(metric, entry = {}, estimator = "") {
  const info = info_of(metric, estimator) ?? declared(metric)[0];
  return String(entry.unit || info?.unit || "").replace("bits_per_dim", "bits/dim");
}

function result_table(metrics) {
  const groups = entries(metrics).map(([metric, by]) => {
    const rows = entries(by).filter(([, entry]) => is_object(entry))
      .flatMap(([estimator, entry]) => result_rows(metric, estimator, entry));
    rows[0]?.prepend(element("th", { scope: "rowgroup", rowspan: rows.length },
      metric_label(metric), element("small", {}, prose(meaning_of(metric)))));
    return element("tbody", {}, rows);
  });
  const heads = ["metric", "estimator", "value " + PLUS_MINUS + " standard error", "unit", "status",
    "samples"];
  return element("div", { class: "scroll" }, element("table", { class: "results" },
    element("thead", {}, element("tr", {}, heads.map((head, column) =>
      element("th", { scope: "col", class: [2, 5].includes(column) ? "number" : null }, head)))),
    groups));
}

/// A measurement, and on a line of its own what else is said of it.
function result_rows(metric, estimator, entry) {
  let [factor, unit] = [1, unit_of(metric, entry, estimator)];
  const own = own_meaning(metric, estimator), route = route_of(entry);
  if (unit === "seconds" && is_number(entry.value)) [factor, unit] = time_unit(entry.value);
  const scaled = (x) => (is_number(x) ? x * factor : null);
  const status = String(entry.status ?? "not stated");
  const cells = [
    element("td", { class: "estimator " + route_class(route), title: ROUTES[route] ?? null },
      error_label(metric, estimator) ?? estimator_label(estimator), own ? element("small", {}, own) : null),
    element("td", { class: "number value" },
      element("i", {}, (STATUSES[status]?.[0] ?? "") + " "),
      with_error(scaled(entry.value), scaled(entry.stderr), status === "exact" ? 7 : 5)),
    element("td", {}, unit || element("span", { class: "faint" }, "not stated")),
    element("td", {}, element("span", { class: "pill " + status, title: STATUSES[status]?.[1] },
      status)),
    element("td", { class: "number samples-used" },
      is_number(entry.samples) ? count(entry.samples) : DASH),
  ];
  const more = [off_exact(metric, estimator, entry, unit), ...remarks(entry, unit, factor)]
    .filter(Boolean).join(", ");
  return [element("tr", {}, cells), more === "" ? null : element("tr", {},
    element("td", { class: "more", colspan: cells.length }, more))].filter(Boolean);
}

/// "off the exact value by +0.012 nats (1.1 standard errors)"
function off_exact(metric, estimator, entry, unit) {
  const exact = exact_entry(metric);
  if (entry.status === "exact" || !is_number(exact?.value) || !is_number(entry.value))
    return null;
  const difference = entry.value - exact.value;
  const error = Math.hypot(entry.stderr ?? 0, exact.stderr ?? 0);
  const sign = difference > 0 ? "+" : "";
  const text = `off the exact value by ${sign}${number(difference, 2)} ${unit}`;
  return error > 0 ? `${text} (${number(Math.abs(difference) / error, 2)} standard errors)` : text;
}

/// The rest of an entry's scalars, in words.
function remarks(entry, unit, factor) {
  const told = ["value", "stderr", "unit", "status", "samples"];
  if (route_of(entry)) told.push("route");
  const interval = is_number(entry.lower) && is_number(entry.upper) && is_number(entry.confidence);
  if (interval) told.push("lower", "upper", "confidence");
  const in_unit = ["max", "min", "rms", "bias", "median", "spread", "target"];
  const parts = entries(entry).filter(([key, x]) => !told.includes(key) && typeof x !== "object")
    .map(([key, x]) => {
      if (in_unit.includes(key) && is_number(x))
        return `${key}${NBSP}${number(x * factor, 3)}${NBSP}${unit}`;
      return `${words(key)}${NBSP}${brief(x)}`;
    });
  if (interval)
    parts.unshift(`${number(100 * entry.confidence, 3)}${NBSP}% interval ` +
      `${number(entry.lower, 7)} to ${number(entry.upper, 7)}${NBSP}${unit}`);
  return parts;
}

/// [[estimator, entry], ...] of a metric whose entries hold rows under `key`; what is no row is
/// dropped.
function estimators_with(metrics, metric, key) {
  return entries(metrics[metric])
    .map(([estimator, entry]) => [estimator, { ...entry,
      [key]: list(entry?.[key]).filter((row) => row !== null && typeof row === "object") }])
    .filter(([, entry]) => entry[key].length > 0);
}

/// rms (solid) and max (dashed) against the size of the subset, an estimator a colour.
function size_figure(metrics, metric, height) {
  const by = estimators_with(metrics, metric, "by_size")
    .filter(([estimator]) => info_of(metric, estimator)?.plot !== "none");
  const sizes = [...new Set(by.flatMap(([, entry]) => entry.by_size.map((row) => row.size)))]
    .filter(is_number).sort((a, b) => a - b);
  const keys = [...new Set(by.flatMap(([, entry]) => entry.by_size.flatMap(Object.keys)))];
  const drawn = keys.includes("rms") ? ["rms", "max"] : ["lower", "upper"];
  const column = (entry, key) => {
    const of_size = new Map(entry.by_size.map((row) => [row.size, row[key]]));
    return sizes.map((size) => (is_number(of_size.get(size)) ? of_size.get(size) : null));
  };
  const build = () => {
    const series = by.flatMap(([estimator, entry], index) => drawn.map((key) => ({
      label: drawn[0] === "rms" ? `${estimator_label(estimator)}, ${key}` : key,
      values: column(entry, key), colour: route_colour(route_of(entry), index), points: key !== "max",
      width: key === "max" ? 1 : 2, dash: key === "max" ? [4, 3] : undefined,
    }))).filter((one) => one.values.some(is_number));
    const [low, high] = extent(series.flatMap((one) => one.values).filter(is_number));
    return { x: sizes, series, log: high > 20 * low,
      axes: { x: "variables in S", y: unit_of(metric, by[0][1]) },
      summary: by.map(([estimator, entry]) => `${estimator_label(estimator)} ${drawn[0]} ` +
        `${brief(entry.by_size[0][drawn[0]])} at size ${brief(entry.by_size[0].size)}, ` +
        `${brief(entry.by_size.at(-1)[drawn[0]])} at ${brief(entry.by_size.at(-1).size)}`)
        .join("; ") };
  };
  return figure({ title: metric_label(metric), unit: unit_of(metric, by[0][1]), build, height,
    note: drawn.includes("max") ? "solid: rms; dashed: largest" : null,
    heads: ["estimator", ...keys],
    rows: () => by.flatMap(([estimator, entry]) => entry.by_size.map((row) =>
      [estimator_label(estimator), ...keys.map((key) => row[key])])) });
}

/// Answers against the reference, and what is left of them, a dot a query, coloured by |S|.
function scatter_figures(metrics, metric) {
  const unit = unit_of(metric);
  return estimators_with(metrics, metric, "pairs").flatMap(([estimator, entry]) => {
    const pairs = entry.pairs.filter((pair) => list(pair).length >= 3 && pair.every(is_number))
      .sort((a, b) => a[1] - b[1]);
    if (pairs.length === 0) return [];
    const of = estimator_label(estimator);
    const heads = ["variables in S", "reference, nats", "answered, nats", "difference, nats"];
    const rows = () => every_nth(pairs, 200).map(([size, x, y]) => [size, x, y, y - x]);
    const summary = `${pairs.length} queries, correlation ${brief(entry.pearson)}`;
    const plot = (title, value, axis, square) => figure({ title, unit, heads, rows, height: 210,
      build: () => ({ ...dots(pairs, value, square), summary,
        axes: { x: "reference log p(x_S), nats", y: axis } }) });
    return [plot(`${of}, answered`, ([, , y]) => y, "answered log p(x_S), nats", true),
      plot(`${of} ${MINUS} reference`, ([, x, y]) => y - x, "difference, nats", false)];
  });
}

function dots(pairs, value, square) {
  const x = pairs.map((pair) => pair[1]), y = pairs.map(value);
  const [first, last] = size_range(pairs);
  const both = square ? padded(...extent([...x, ...y]), 0.04) : undefined;
  const marks = (context, px, py, ratio, box) => {
    if (square) dashed(context, ratio, [px(both[0]), py(both[0])], [px(both[1]), py(both[1])]);
    else dashed(context, ratio, [box.left, py(0)], [box.left + box.width, py(0)]);
    context.globalAlpha = pairs.length > 300 ? 0.6 : 0.85;
    pairs.forEach(([size], i) => {
      context.fillStyle = ramp((size - first) / Math.max(1, last - first));
      disc(context, px(x[i]), py(y[i]), 2.2 * ratio);
    });
  };
  return { x, series: [{ label: "y", values: y, hidden: true }], legend: false, marks,
    range_x: both && (() => both), range_y: both, levels: square ? [] : [0] };
}

function size_range(pairs) {
  return extent(pairs.map(([size]) => size));
}

function size_key(metrics, metric) {
  const pairs = estimators_with(metrics, metric, "pairs")
    .flatMap(([, entry]) => entry.pairs).filter((pair) => is_number(pair[0]));
  if (pairs.length === 0) return null;
  const [first, last] = size_range(pairs);
  const stops = RAMP.map((_, i) => ramp(i / (RAMP.length - 1))).join(",");
  return element("p", { class: "key" }, "variables in S: ", String(first),
    element("span", { style: `background: linear-gradient(to right, ${stops})` }), String(last));
}

/// At most n of a list, evenly spaced, the last among them.
function every_nth(all, n) {
  const stride = Math.ceil(all.length / n) || 1;
  return all.filter((_, i) => i % stride === 0 || i === all.length - 1);
}

/// Observed frequency against predicted probability; a disc's area is its bin's count.
function calibration_figure(metric, estimator, entry) {
  const bins = entry.bins.filter((bin) => is_number(bin.predicted) && is_number(bin.observed))
    .sort((a, b) => a.predicted - b.predicted);
  const most = Math.max(1, ...bins.map((bin) => bin.count ?? 1));
  const marks = (context, px, py, ratio) => {
    dashed(context, ratio, [px(0), py(0)], [px(1), py(1)]);
    context.strokeStyle = context.fillStyle = colour("c1");
    context.lineWidth = 1.5 * ratio;
    for (const { predicted, observed, count: n } of bins) {
      const error = n > 0 ? Math.sqrt(observed * (1 - observed) / n) : 0;
      context.beginPath();
      context.moveTo(px(predicted), py(observed - error));
      context.lineTo(px(predicted), py(observed + error));
      context.stroke();
      context.globalAlpha = 0.75;
      disc(context, px(predicted), py(observed), (2 + 7 * Math.sqrt((n ?? 1) / most)) * ratio);
      context.globalAlpha = 1;
    }
  };
  return figure({ title: `${words(metric)}, ${estimator_label(estimator)}`, height: 210,
    note: "area: predictions in the bin; bar: binomial s.e.",
    heads: ["predicted", "observed", "count"],
    rows: () => bins.map((bin) => [bin.predicted, bin.observed, bin.count ?? null]),
    build: () => ({ x: bins.map((bin) => bin.predicted), marks, legend: false,
      series: [{ label: "observed", values: bins.map((bin) => bin.observed), hidden: true }],
      range_x: () => [-0.03, 1.03], range_y: [-0.03, 1.03],
      axes: { x: "predicted probability", y: "observed frequency" },
      summary: bins.map((bin) => `${number(bin.predicted, 2)}: ${number(bin.observed, 2)}`)
        .join(", ") }) });
}

/// The layout of a picture in a state space: {height, width, channels}, or null where it has none.
function picture_layout(space) {
  const shape = list(space?.shape).filter((n, i, all) => !(n === 1 && i === 0 && all.length === 3));
  const area = shape.reduce((a, b) => a * b, 1);
  if (space?.dimension !== area || shape.some((n) => !(n > 1)) || list(space.alphabet).length > 0)
    return null;
  if (shape.length === 2) return { height: shape[0], width: shape[1], channels: 1 };
  if (shape.length === 3 && shape[0] === 3)
    return { height: shape[1], width: shape[2], channels: 3 };
  return null;
}

function level_colours(levels) {
  const parse = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
  const [low, high] = [parse(colour("pixel-0")), parse(colour("pixel-1"))];
  if (levels > 2 && levels <= 6)
    return Array.from({ length: levels }, (_, k) => parse(colour(`c${k + 1}`)));
  return Array.from({ length: levels }, (_, k) =>
    low.map((c, i) => Math.round(c + (high[i] - c) * k / Math.max(1, levels - 1))));
}

/// A canvas with a pixel a variable; an unknown variable is left out, the page shows through.
function state_picture(x, space, { height, width, channels }, label) {
  const canvas = element("canvas", { width, height, role: "img", "aria-label": label });
  const size = Math.max(1, Math.floor(96 / Math.max(height, width)));
  canvas.style.width = `${Math.max(width * size, width)}px`;
  const draw = () => {
    const context = canvas.getContext("2d"), image = context.createImageData(width, height);
    const colours = level_colours(space.levels), area = width * height;
    for (let i = 0; i < area; ++i) {
      const known = x[i] !== null && x[i] >= 0;
      const rgb = !known ? [0, 0, 0] : channels === 1 ? colours[x[i]] ?? [255, 0, 255]
        : [0, 1, 2].map((c) => Math.round(255 * x[c * area + i] / (space.levels - 1)));
      image.data.set([...rgb, known ? 255 : 0], 4 * i);
    }
    context.putImageData(image, 0, 0);
  };
  plots.push({ draw });
  draw();
  return canvas;
}

function state_text(row, space) {
  if (typeof row.text === "string") return row.text;
  const alphabet = list(space?.alphabet);
  const symbol = (k) => (k === null || k < 0 ? "?" : alphabet[k] ?? String(k));
  return list(row.x).map(symbol).join(space?.levels > 10 && alphabet.length === 0 ? " " : "");
}

// What a line of samples says of its state, by key: words before the number. Of a completion the
// others are log p of the whole by an estimator each.
const SAID = { log_prob: "log p", log_density: "log f" };
const said = (key) => SAID[key] ?? words(key);

function sample_views(rows, space, from) {
  const layout = picture_layout(space);
  const completed = rows.filter((row) => list(row.given).length > 0);
  const keys = [...new Set(["log_prob", ...completed.flatMap(Object.keys), "log_density"])]
    .filter((key) => rows.some((row) => is_number(row[key])));
  if (layout && rows.every((row) => list(row.x).length === space.dimension))
    return element("div", { class: "samples" }, rows.map((row, i) => {
      const label = `sample ${from + i + 1}`;
      const given = list(row.given).length === space.dimension
        ? [state_picture(row.given, space, layout, `${label}, as given`), " "] : [];
      return element("figure", {}, given, state_picture(row.x, space, layout, label),
        element("figcaption", {}, keys.filter((key) => is_number(row[key])).flatMap((key, n) =>
          [n > 0 ? element("br") : null, `${said(key)} ${fixed(row[key], 2)}`])));
    }));
  const given = rows.some((row) => list(row.given).length > 0);
  const text_of_given = (row) => state_text({ x: row.given }, space);
  return table([...(given ? ["given"] : []), "sample", ...keys.map((key) => `${said(key)}, nats`)],
    rows.map((row) => [...(given ? [element("code", {}, text_of_given(row))] : []),
      element("code", {}, state_text(row, space)),
      ...keys.map((key) => element("span", { class: "number" }, fixed(row[key], 2)))]));
}
