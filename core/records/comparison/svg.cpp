/// \file
/// A plot of a comparison as an SVG document, for papers: axes, bands, lines, dots, a legend.
/// The page draws the same plots on uPlot, whose canvas is no vector; Debian's plotting libraries
/// (PLplot, gnuplot) would be a dependency of every build for these few shapes.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "comparison.h"

namespace marginalia {

using comparison::Plot, comparison::Series;

namespace {

// The colours --c1 to --c8 of core/records/report/page/report.css, on paper; then the same, dashed.
constexpr const char* kColours[] = {"#0b66ad", "#c65304", "#0a7f5b", "#a8407f",
                                    "#937200", "#3b3a8f", "#7a4a2b", "#5f6b75"};
constexpr std::size_t kColourCount = std::size(kColours);
constexpr double kWidth = 480, kHeight = 300;  // of the frame
constexpr double kLeft = 70, kTop = 34, kBelow = 48, kLegendLine = 17;

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '&')
      result += "&amp;";
    else if (c == '<')
      result += "&lt;";
    else
      result += c;
  }
  return result;
}

/// One axis: numbers to pixels, and where its ticks are.
class Scale {
 public:
  Scale(double low, double high, bool log, double from, double to)
      : log_(log), from_(from), to_(to) {
    if (!(high > low)) {
      low = log ? low / 2 : low - 0.5;
      high = log ? high * 2 : high + 0.5;
    }
    low_ = of(low);
    high_ = of(high);
    const auto pad = 0.04 * (high_ - low_);
    low_ -= pad;
    high_ += pad;
  }
  double operator()(double value) const {
    return from_ + (of(value) - low_) / (high_ - low_) * (to_ - from_);
  }
  std::vector<double> ticks() const { return log_ ? powers() : steps(); }

 private:
  double of(double value) const { return log_ ? std::log10(value) : value; }

  /// 1, 2 or 5 times a power of ten apart, about five of them.
  std::vector<double> steps() const {
    const auto rough = (high_ - low_) / 5;
    const auto power = std::pow(10, std::floor(std::log10(rough)));
    auto step = 10 * power;
    for (const auto factor : {5.0, 2.0, 1.0})
      if (factor * power >= rough) step = factor * power;
    std::vector<double> ticks;
    for (auto i = std::ceil(low_ / step); i * step <= high_; ++i)
      ticks.push_back(i * step);
    return ticks;
  }
  std::vector<double> powers() const {
    std::vector<double> factors{1};
    if (high_ - low_ < 2.5) factors = {1, 2, 5};
    const auto stride = std::max(1.0, std::ceil((high_ - low_) / 6));
    std::vector<double> ticks;
    for (auto e = std::floor(low_); e <= high_; e += stride)
      for (const auto factor : factors)
        if (const auto tick = std::log10(factor) + e; tick >= low_ && tick <= high_)
          ticks.push_back(factor * std::pow(10, e));
    return ticks;
  }

  bool log_;
  double from_, to_, low_ = 0, high_ = 1;
};

std::string tick_text(double value) {
  if (std::abs(value) < 1e-12) return "0";
  if (std::abs(value) >= 1e5 || std::abs(value) < 1e-3) {
    auto text = fmt::format("{:.6g}", value);
    return text.find('e') == std::string::npos ? fmt::format("{:.0e}", value) : text;
  }
  return fmt::format("{:.6g}", value);
}

class Drawing {
 public:
  explicit Drawing(const Plot& plot)
      : plot_(plot),
        x_(scale(plot.x.log, {&Series::x}, kLeft, kLeft + kWidth)),
        y_(scale(plot.y.log, {&Series::y, &Series::low, &Series::high}, kTop + kHeight, kTop)) {}

  std::string text() {
    axes();
    if (plot_.diagonal) line(x_(0), y_(0), x_(1), y_(1), "stroke='#888'");
    for (const auto& one : plot_.series)
      draw(one);
    const auto count = double(plot_.series.size());
    return fmt::format(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {0} {1}' width='{0}' height='{1}' "
        "font-family='Helvetica, Arial, sans-serif' font-size='12' fill='#1d2126'>\n"
        "<rect width='100%' height='100%' fill='white'/>\n"
        "<clipPath id='frame'><rect x='{2}' y='{3}' width='{4}' height='{5}'/></clipPath>\n{6}"
        "</svg>\n",
        kLeft + kWidth + 20, kTop + kHeight + kBelow + kLegendLine * (count + 0.5), kLeft, kTop,
        kWidth, kHeight, body_);
  }

 private:
  using Numbers = std::vector<double> Series::*;

  Scale scale(bool log, std::initializer_list<Numbers> shown, double from, double to) const {
    double low = INFINITY, high = -INFINITY;
    const auto see = [&](double value) {
      low = std::min(low, value);
      high = std::max(high, value);
    };
    for (const auto& one : plot_.series)
      for (const auto numbers : shown)
        std::ranges::for_each(one.*numbers, see);
    if (plot_.diagonal) {
      see(0);
      see(1);
    }
    return {low, high, log, from, to};
  }

  void line(double x0, double y0, double x1, double y1, const std::string& style) {
    body_ += fmt::format("<line x1='{:.2f}' y1='{:.2f}' x2='{:.2f}' y2='{:.2f}' {}/>\n", x0, y0, x1,
                         y1, style);
  }
  void words(double x, double y, const std::string& anchor, const std::string& text,
             const std::string& more = "") {
    body_ += fmt::format("<text x='{:.2f}' y='{:.2f}' text-anchor='{}' {}>{}</text>\n", x, y,
                         anchor, more, escaped(text));
  }

  void axes() {
    const auto bottom = kTop + kHeight, right = kLeft + kWidth;
    for (const auto tick : x_.ticks()) {
      line(x_(tick), kTop, x_(tick), bottom, "stroke='#e2dfd5'");
      words(x_(tick), bottom + 16, "middle", tick_text(tick));
    }
    for (const auto tick : y_.ticks()) {
      line(kLeft, y_(tick), right, y_(tick), "stroke='#e2dfd5'");
      words(kLeft - 6, y_(tick) + 4, "end", tick_text(tick));
    }
    words(kLeft, kTop - 14, "start", plot_.title, "font-weight='bold'");
    words((kLeft + right) / 2, bottom + 36, "middle", plot_.x.label);
    const auto middle = (kTop + bottom) / 2;
    words(16, middle, "middle", plot_.y.label,
          fmt::format("transform='rotate(-90 16 {})'", middle));
  }

  void draw(const Series& one) {
    const auto* colour = kColours[one.colour % kColourCount];
    const auto& style = one.style;
    const bool dashed = style == "dashed" || one.colour >= kColourCount;
    const auto stroke = fmt::format("stroke='{}' stroke-width='{}' fill='none'{}", colour, 1.8,
                                    dashed ? " stroke-dasharray='5 4'" : "");
    if (style != "points") {
      band(one, colour);
      body_ += fmt::format("<polyline clip-path='url(#frame)' points='{}' {}/>\n",
                           points(one, &Series::y, false), stroke);
    }
    if (style == "points" || style == "both") dots(one, colour);
    if (plot_.group == "costs") name(one, colour);
    const auto row = double(entries_++);
    const auto y = kTop + kHeight + kBelow + kLegendLine * (row + 0.5);
    if (style == "points")
      body_ += fmt::format("<circle cx='{}' cy='{}' r='3' fill='{}'/>\n", kLeft + 11, y, colour);
    else
      line(kLeft, y, kLeft + 22, y, stroke);
    words(kLeft + 30, y + 4, "start", one.label);
  }

  void dots(const Series& one, const char* colour) {
    for (std::size_t i = 0; i < one.x.size(); ++i)
      body_ += fmt::format("<circle cx='{:.2f}' cy='{:.2f}' r='3' fill='{}'/>\n", x_(one.x[i]),
                           y_(one.y[i]), colour);
  }

  /// What a point is, beside it, on the side where there is room.
  void name(const Series& one, const char* colour) {
    const auto x = x_(one.x[0]);
    const bool left = x > kLeft + 0.6 * kWidth;
    words(x + (left ? -6 : 6), y_(one.y[0]) + 4, left ? "end" : "start", one.label,
          fmt::format("fill='{}'", colour));
  }

  void band(const Series& one, const char* colour) {
    if (one.low == one.high) return;
    body_ += fmt::format(
        "<polygon clip-path='url(#frame)' points='{} {}' fill='{}' fill-opacity='0.15'/>\n",
        points(one, &Series::high, false), points(one, &Series::low, true), colour);
  }

  std::string points(const Series& one, Numbers key, bool backwards) const {
    std::string text;
    const auto count = one.x.size();
    for (std::size_t n = 0; n < count; ++n) {
      const auto i = backwards ? count - 1 - n : n;
      text += fmt::format("{}{:.2f},{:.2f}", n > 0 ? " " : "", x_(one.x[i]), y_((one.*key)[i]));
    }
    return text;
  }

  const Plot& plot_;
  Scale x_, y_;
  std::string body_;
  int entries_ = 0;
};

}  // namespace

std::string svg_plot(const Plot& plot) {
  return Drawing(plot).text();
}

}  // namespace marginalia
