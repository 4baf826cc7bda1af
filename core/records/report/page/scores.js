// What an energy says of the samples: how often each value of a score came, and drawings.

/// The value below which a part of a sorted list lies.
const quantile = (sorted, part) => sorted[Math.round(part * (sorted.length - 1))];

/// Bins of equal width from `low` on, as many as the values tell apart (Freedman and Diaconis
/// 1981: 2 IQR / N^(1/3)); of whole numbers each has at least one in its middle.
function bins_of(sorted, low, high) {
  const wanted = 2 * (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / Math.cbrt(sorted.length);
  const span = high - low || 1;
  const width = Math.min(span / 16, Math.max(span / 48, wanted));
  if (!sorted.every(Number.isInteger)) return { low, width, count: Math.ceil(span / width) };
  const whole = Math.max(1, Math.round(width));
  return { low: Math.floor(low) - 0.5, width: whole, count: Math.ceil((span + 1) / whole) };
}

function histogram_of(score) {
  const sorted = list(score.values).filter(is_number).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  const n = sorted.length, mean = sorted.reduce((sum, x) => sum + x, 0) / n;
  const spread = Math.sqrt(sorted.reduce((sum, x) => sum + (x - mean) ** 2, 0) / Math.max(1, n - 1));
  const wanted = is_number(score.target) ? [score.target] : [];
  const reach = is_number(score.spread) ? 2.5 * score.spread : 0;
  const [low, high] = extent([quantile(sorted, 0.005), quantile(sorted, 0.995),
    ...wanted.flatMap((target) => [target - reach, target + reach])]);
  const bins = bins_of(sorted, low, high), counts = Array(bins.count).fill(0);
  for (const x of sorted) {
    const bin = Math.min(Math.floor((x - bins.low) / bins.width), bins.count - (x === high ? 1 : 0));
    if (bin >= 0 && bin < bins.count) ++counts[bin];
  }
  return { ...bins, counts, n, mean, spread, outside: n - counts.reduce((a, b) => a + b, 0),
    without: list(score.values).length - n };
}

/// The share of a bin at x if the reward alone decided: a normal law about the target.
function wanted_share(score, width, x) {
  const z = (x - score.target) / score.spread;
  return width / (score.spread * Math.sqrt(2 * Math.PI)) * Math.exp(-z * z / 2);
}

function score_figure(score) {
  const histogram = histogram_of(score);
  if (!histogram) return null;
  const { low, width, counts, n, mean, spread, outside, without } = histogram;
  const shares = counts.map((c) => c / n), most = Math.max(...shares);
  const has_target = is_number(score.target), has_law = has_target && score.spread > 0;
  const peak = has_law ? wanted_share(score, width, score.target) : 0;
  const top = Math.max(1.1 * most, Math.min(1.05 * peak, 2.5 * most));
  const high = low + width * counts.length;
  const marks = (context, px, py, ratio, box) => {
    context.fillStyle = colour("c1");
    context.globalAlpha = 0.6;
    shares.forEach((share, i) => {
      const left = px(low + i * width), right = px(low + (i + 1) * width);
      context.fillRect(left, py(share), Math.max(1, right - left - ratio), py(0) - py(share));
    });
    context.globalAlpha = 1;
    if (has_law) draw_curve(context, px, py, ratio, [low, high],
      (x) => wanted_share(score, width, x));
    if (has_target) dashed(context, ratio, [px(score.target), box.top + box.height],
      [px(score.target), box.top], "target");
  };
  const said = (x) => number(x, 3);
  const note = [`mean ${said(mean)}, spread ${said(spread)} over ${count(n)} samples`,
    has_target && `target ${brief(score.target)}` +
      (has_law ? `, by the reward alone with spread ${said(score.spread)}` : ""),
    outside > 0 && `${count(outside)} beyond this axis`,
    without > 0 && `${count(without)} samples without one`].filter(Boolean).join("; ");
  return figure({ title: words(score.name), unit: score.unit, note, height: 210,
    heads: ["from", "to", "samples"],
    rows: () => counts.map((c, i) => [low + i * width, low + (i + 1) * width, c]),
    build: () => ({ x: counts.map((_, i) => low + (i + 0.5) * width), marks, legend: false,
      series: [{ label: "share of samples", values: shares, hidden: true }],
      range_x: () => [low, high], range_y: [0, top],
      axes: { x: score.unit || words(score.name), y: "share of samples" }, summary: note }) });
}

function draw_curve(context, px, py, ratio, [from, to], y) {
  context.strokeStyle = colour("c2");
  context.lineWidth = 1.7 * ratio;
  context.beginPath();
  for (let i = 0; i <= 200; ++i) {
    const x = from + (to - from) * i / 200;
    context.lineTo(px(x), py(y(x)));
  }
  context.stroke();
}

/// Drawings of states, each with what was said of it. SVG is shown as an image, which runs nothing.
function drawing_grid(rows) {
  const said = (row) => [
    ...(is_object(row.scores) ? entries(row.scores).map(([name, x]) => [words(name), x])
      : [["score", row.score]]), ["log f", row.log_density], ["log p", row.log_prob]]
    .filter(([, x]) => is_number(x)).map(([name, x]) => `${name}${NBSP}${fixed(x, 2)}`);
  return element("div", { class: "drawings" }, rows.map((row) => element("figure", {},
    element("img", { alt: row.text, src: "data:image/svg+xml," + encodeURIComponent(row.svg) }),
    element("figcaption", {},
      [...said(row), row.times > 1 && `drawn ${count(row.times)} times`].filter(Boolean).join(", "),
      element("code", {}, row.text)))));
}
