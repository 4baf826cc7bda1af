// Plots on uPlot. A plot is drawn anew when its width, the colours or a control changes.

const plots = [];
let printing = false;

/// The colours of the style sheet, as they stand now.
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

function redraw(which = () => true) {
  for (const plot of plots) if (which(plot)) plot.draw();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
for (const [event, on] of [["beforeprint", true], ["afterprint", false]])
  addEventListener(event, () => {
    printing = on;
    document.documentElement.classList.toggle("paper", printing);
    redraw();
  });

/// One figure: title, plot, and the table behind it.
/// build() -> {x, series: [{label, values, colour, ...}], axes: {x, y}, ...}, see uplot_options.
function figure({ title, unit, note, build, heads, rows, height = 200, group = null }) {
  const host = element("div", { class: "plot", role: "img", "aria-label": title });
  const plot = { group, width: 0, drawn: null };
  plot.draw = () => {
    if (plot.drawn) plot.drawn.destroy();
    plot.drawn = null;
    plot.width = host.clientWidth;
    if (plot.width < 60) return;
    const what = build();
    host.setAttribute("aria-label", what.summary ? `${title}: ${what.summary}` : title);
    plot.drawn = new uPlot(uplot_options(what, plot.width, height),
      [what.x, ...what.series.map((series) => series.values)], host);
  };
  const fit = () => {
    if (host.clientWidth !== plot.width) plot.draw();
  };
  new ResizeObserver(fit).observe(host);  // at once, so that no frame shows it past its frame's edge
  plots.push(plot);
  return element("figure", {},
    element("figcaption", {}, element("b", {}, title), unit && element("span", {}, " " + unit),
      note && element("small", {}, note)),
    host, heads && folded("numbers", () => table(heads, rows())));
}

/// what.log: a logarithmic y axis, if every value allows it; what.log_x: a logarithmic x axis, whose
/// values all do. what.marks(u): drawn over the plot.
function uplot_options(what, width, height) {
  const ink = colour("ink-soft"), rule = colour("rule");
  const all = what.series.flatMap((series) => series.values).concat(what.levels ?? [])
    .filter(is_number);
  const log = what.log && all.length > 0 && all.every((y) => y > 0);
  const axis = (label, more) => ({ label, stroke: ink, font: "11px system-ui, sans-serif",
    labelFont: "11px system-ui, sans-serif", labelSize: label ? 16 : 0, labelGap: 0, gap: 4,
    grid: { stroke: rule, width: 1 }, ticks: { show: false }, ...more });
  const ticks = (u, splits) => splits.map((y) => (y === null ? "" : tick(y)));
  const [low, high] = extent(all);
  const powers = log && Math.log10(high / low) > 3.5;
  const log_ticks = (u, splits) =>
    splits.map((y) => (y === null ? "" : powers ? ten_to(Math.round(Math.log10(y))) : tick(y)));
  return {
    width, height, pxAlign: 0, padding: [8, 18, 0, 0],
    scales: {
      x: { time: false, distr: what.log_x ? 3 : 1,
        range: what.range_x ?? ((u, low, high) => padded(low, high, 0.02)) },
      y: { distr: log ? 3 : 1, range: () => y_range(all, log, what.range_y) },
    },
    axes: [
      axis(what.axes.x, { size: 24, space: 56, values: ticks,
        ...(what.log_x ? { splits: log_splits, filter: (u, splits) => splits } : {}) }),
      axis(what.axes.y, { space: 30, values: log ? log_ticks : ticks,
        ...(log ? { splits: log_splits, filter: (u, splits) => splits } : {}),
        size: (u, labels) => 12 + 6.2 * Math.max(1, ...list(labels).map((text) => text.length)) }),
    ],
    series: [
      { label: what.axes.x ?? "x", value: (u, x) => (x === null ? "" : trimmed(x, 6)) },
      ...what.series.map((series) => ({
        label: series.label, class: series.silent ? "silent" : undefined,
        stroke: series.colour, width: series.width ?? 1.5,
        dash: series.dash, spanGaps: true, alpha: series.alpha ?? 1,
        value: (u, y) => (is_number(y) ? number(y) : ""),
        paths: series.hidden ? () => null : undefined,
        points: { show: Boolean(series.points) && !series.hidden, size: 5, fill: series.colour },
      })),
    ],
    legend: { show: what.legend !== false, live: true, markers: { width: 2 } },
    cursor: { show: what.legend !== false, drag: { x: false, y: false }, points: { size: 6 },
      sync: what.sync ? { key: what.sync } : undefined },
    hooks: { draw: what.marks ? [(u) => clipped(u, what.marks)] : [] },
  };
}

function tick(value) {
  const x = Number(value.toPrecision(6));
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size >= 1e5 || size < 1e-3) {
    const [mantissa, exponent] = x.toExponential().split("e");
    if (mantissa.length < 5)
      return (mantissa === "1" ? "" : mantissa.replace("-", MINUS) + TIMES) + ten_to(+exponent);
  }
  return String(x).replace("-", MINUS);
}

function padded(low, high, part) {
  if (!is_number(low) || !is_number(high)) return [0, 1];
  const pad = high > low ? (high - low) * part : Math.abs(low) * 0.1 || 1;
  return [low - pad, high + pad];
}

function y_range(all, log, wanted) {
  if (all.length === 0) return [0, 1];
  if (wanted) return wanted;
  const [low, high] = extent(all);
  if (log) return low === high ? [low / 3, high * 3] : [low / 1.3, high * 1.3];
  const range = padded(low, high, 0.06);
  return low >= 0 && range[0] < 0.25 * range[1] ? [0, range[1]] : range;
}

/// Ticks of a logarithmic axis: 1, 2, 5 of each decade when few decades are in sight, else powers.
/// (uPlot's own needs a range of whole decades to end, its issue 813.)
function log_splits(u, axis, low, high) {
  const decades = Math.log10(high / low), splits = [];
  const steps = decades < 1 ? [1, 1.5, 2, 3, 4, 5, 6, 8] : decades < 2.3 ? [1, 2, 5]
    : decades < 3.5 ? [1, 3] : [1];
  const stride = Math.max(1, Math.ceil(decades / 6));
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); ++e) {
    if (e % stride !== 0) continue;
    for (const step of steps) {
      const y = step * 10 ** e;
      if (y >= low && y <= high) splits.push(y);
    }
  }
  return splits;
}

/// Runs draw(u, context, x -> pixel, y -> pixel) inside the plot's frame.
function clipped(u, draw) {
  const { left, top, width, height } = u.bbox;
  u.ctx.save();
  u.ctx.beginPath();
  u.ctx.rect(left, top, width, height);
  u.ctx.clip();
  draw(u.ctx, (x) => u.valToPos(x, "x", true), (y) => u.valToPos(y, "y", true),
    uPlot.pxRatio, u.bbox);
  u.ctx.restore();
}

/// A dashed line from (x0, y0) to (x1, y1) in canvas pixels, with an optional label at its end.
function dashed(context, ratio, [x0, y0], [x1, y1], label = null) {
  context.strokeStyle = context.fillStyle = colour("ink-soft");
  context.lineWidth = ratio;
  context.setLineDash([4 * ratio, 3 * ratio]);
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
  context.setLineDash([]);
  if (label === null) return;
  context.font = `${10 * ratio}px system-ui, sans-serif`;
  context.textAlign = "right";
  context.textBaseline = y1 < 24 * ratio ? "top" : "bottom";
  context.fillText(label, x1 - 4 * ratio, y1 + (y1 < 24 * ratio ? 2 : -1) * ratio);
}

function disc(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

// A ramp whose lightness only rises (near viridis, but for the ends, which must be seen on
// dark and on light).
const RAMP = [[98, 84, 180], [62, 110, 165], [39, 135, 150], [31, 161, 135], [80, 185, 100],
  [145, 190, 50], [205, 180, 20]];

function ramp(part) {
  const at = Math.min(1, Math.max(0, part)) * (RAMP.length - 1);
  const low = Math.min(RAMP.length - 2, Math.floor(at));
  const mix = RAMP[low].map((c, i) => Math.round(c + (RAMP[low + 1][i] - c) * (at - low)));
  return `rgb(${mix.join(",")})`;
}
