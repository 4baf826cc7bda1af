#include "encoding.h"

#include <algorithm>
#include <cmath>

#include <marginalia/state_space.h>

namespace marginalia::tables {

bool Piece::has(std::int64_t index) const {
  if (shape == Shape::kBelow) return index <= last;
  if (shape == Shape::kAbove) return index >= first;
  return index >= first && index <= last;
}

double Piece::beyond() const {
  return seen == 0 ? 1 : 1 / double(rows + 1);
}

namespace {

/// r^begin - r^end, without cancellation.
double fall(double ratio, double begin, double end) {
  return std::pow(ratio, begin) * -std::expm1((end - begin) * std::log(ratio));
}

}  // namespace

std::pair<double, double> Piece::masses(std::int64_t begin, std::int64_t end) const {
  const auto inner = std::min(end, seen), outer = std::max(begin, seen);
  return {begin < inner ? (1 - beyond()) * fall(ratio, double(begin), double(inner)) /
                              fall(ratio, 0, double(seen))
                        : 0,
          outer < end ? beyond() * fall(ratio, double(outer - seen), double(end - seen)) : 0};
}

/// The steps below which the share u of those in begin <= n < end lies.
std::int64_t Piece::steps_at(double u, std::int64_t begin, std::int64_t end) const {
  const auto [inner, outer] = masses(begin, end);
  const auto target = u * (inner + outer);
  const bool out = begin >= seen || (end > seen && target >= inner);
  const auto part = out ? outer : inner;
  const auto share = part > 0 ? (out ? target - inner : target) / part : u;
  begin = out ? std::max(begin, seen) : begin;
  end = out ? end : std::min(end, seen);
  // By the distance from the near edge, along which r^n falls from 1 to r^(end - begin).
  const auto log_ratio = std::log(ratio);
  const auto steps = std::log1p(share * std::expm1(double(end - begin) * log_ratio)) / log_ratio;
  const auto n = double(begin) + std::floor(steps);
  return std::int64_t(std::clamp(n, double(begin), double(end - 1)));
}

double Piece::log_probability(std::int64_t index) const {
  if (shape == Shape::kAtom) return 0;
  if (shape == Shape::kUniform) return -std::log(double(last - first + 1));
  const auto steps = shape == Shape::kBelow ? last - index : index - first;
  const auto mass = steps >= seen
                        ? std::log(beyond())
                        : std::log1p(-beyond()) - std::log1p(-std::pow(ratio, double(seen)));
  return mass + std::log1p(-ratio) + double(steps >= seen ? steps - seen : steps) * std::log(ratio);
}

double Piece::share(std::int64_t from, std::int64_t until) const {
  from = shape == Shape::kBelow ? from : std::max(from, first);
  until = shape == Shape::kAbove ? until : std::min(until, last);
  if (from > until) return 0;
  if (shape == Shape::kUniform || shape == Shape::kAtom)
    return double(until - from + 1) / double(last - first + 1);
  const auto [inner, outer] = shape == Shape::kBelow ? masses(last - until, last - from + 1)
                                                     : masses(from - first, until - first + 1);
  return inner + outer;
}

std::int64_t Piece::at(double u, std::int64_t from, std::int64_t until) const {
  if (shape == Shape::kAtom) return first;
  if (shape == Shape::kUniform) {
    from = std::max(from, first);
    until = std::min(until, last);
    return std::min(until, from + std::int64_t(u * double(until - from + 1)));
  }
  // Steps outwards, of near..far.
  const bool below = shape == Shape::kBelow;
  const auto near = below ? last - std::min(until, last) : std::max(from, first) - first;
  const auto far = below ? last - from : until - first;
  const auto n = steps_at(u, near, far + 1);
  return below ? last - n : first + n;
}

namespace {

using Indices = std::vector<std::int64_t>;

/// The ratio of a geometric law with this mean number of steps: ratio / (1 - ratio) = mean.
double ratio_of(double mean) {
  return std::min(mean / (1 + mean), 1 - 0x1p-50);
}

/// What lies beyond the outermost value, where no training row is: steps of a twentieth of the
/// range on average.
double unseen_steps(std::int64_t low, std::int64_t high) {
  return std::max(1.0, double(high - low) / 20);
}

/// Values that more than 1/bins of all are.
Indices find_atoms(const Indices& sorted, std::int64_t bins) {
  Indices atoms;
  for (auto at = sorted.begin(); at != sorted.end();) {
    const auto next = std::upper_bound(at, sorted.end(), *at);
    if ((next - at) * bins > std::ssize(sorted)) atoms.push_back(*at);
    at = next;
  }
  return atoms;
}

/// Where sorted values are cut into `count` parts of nearly as many each, equal ones together: the
/// first value of each part but the first.
Indices quantile_cuts(const Indices& sorted, std::int64_t count) {
  Indices cuts;
  for (std::int64_t part = 1; part < count; ++part) {
    const auto value = sorted[std::size_t(part * std::ssize(sorted) / count)];
    if (value > sorted.front() && (cuts.empty() || value > cuts.back())) cuts.push_back(value);
  }
  return cuts;
}

/// The part of sorted values within first..last.
Indices within(const Indices& sorted, std::int64_t first, std::int64_t last) {
  return {std::ranges::lower_bound(sorted, first), std::ranges::upper_bound(sorted, last)};
}

}  // namespace

std::vector<Piece> cut(std::vector<std::int64_t> indices, std::int64_t bins) {
  using Shape = Piece::Shape;
  std::ranges::sort(indices);
  const auto low = indices.front(), high = indices.back();
  const auto atoms = find_atoms(indices, bins);
  std::vector<Piece> pieces;

  /// Pieces of what lies between two atoms, or between one and the end of the range.
  const auto fill = [&](std::int64_t first, std::int64_t last) {
    if (first > last) return;
    const auto inside = within(indices, first, last);
    const auto rows = std::ssize(inside);
    const auto count = std::max<std::int64_t>(1, bins * rows / std::ssize(indices));
    Indices starts{first};
    if (rows > 0)
      for (const auto value : quantile_cuts(inside, count))
        starts.push_back(value);
    for (std::size_t n = 0; n < starts.size(); ++n) {
      const auto until = n + 1 < starts.size() ? starts[n + 1] - 1 : last;
      pieces.push_back(
          {Shape::kUniform, starts[n], until, 0, std::ssize(within(inside, starts[n], until))});
    }
  };
  auto next = low;
  for (const auto atom : atoms) {
    fill(next, atom - 1);
    pieces.push_back({Shape::kAtom, atom, atom, 0, std::ssize(within(indices, atom, atom))});
    next = atom + 1;
  }
  fill(next, high);

  // The outer pieces go on for ever; where an atom is the outermost, a piece without rows does.
  const auto unseen = ratio_of(unseen_steps(low, high));
  const auto ratio_in = [&](const Piece& piece, std::int64_t edge) {
    double steps = 1;  // a row at the next value further out, so that none is impossible
    for (const auto index : within(indices, piece.first, piece.last))
      steps += double(std::abs(index - edge));
    return ratio_of(steps / double(piece.rows + 1));
  };
  if (auto& front = pieces.front(); front.shape == Shape::kUniform && pieces.size() > 1)
    front = {Shape::kBelow, front.last,          front.last, ratio_in(front, front.last),
             front.rows,    front.last - low + 1};
  else
    pieces.insert(pieces.begin(), {Shape::kBelow, low - 1, low - 1, unseen, 0});
  if (auto& back = pieces.back(); back.shape == Shape::kUniform && pieces.size() > 2)
    back = {Shape::kAbove, back.first,           back.first, ratio_in(back, back.first),
            back.rows,     high - back.first + 1};
  else
    pieces.push_back({Shape::kAbove, high + 1, high + 1, unseen, 0});
  return pieces;
}

Encoding::Encoding(const Column& column, const std::vector<double>& numbers, std::int64_t bins)
    : column_(column) {
  if (!column.has_density()) return;
  std::vector<std::int64_t> indices;
  for (const double value : numbers)
    if (!std::isnan(value)) indices.push_back(index_of(value));
  if (indices.empty()) indices = {index_of(column.low), index_of(column.high)};
  low_ = *std::ranges::min_element(indices);
  high_ = *std::ranges::max_element(indices);
  pieces_ = cut(std::move(indices), bins);
}

Encoding::Encoding(const Column& column, std::vector<Piece> pieces, std::int64_t low,
                   std::int64_t high)
    : column_(column), pieces_(std::move(pieces)), low_(low), high_(high) {}

std::int64_t Encoding::levels() const {
  const auto own = column_.has_density() ? std::ssize(pieces_) : std::ssize(column_.labels);
  return own + (column_.missing_is_category ? 1 : 0);
}

std::int64_t Encoding::index_of(double value) const {
  // What is beyond the farthest is taken to lie there.
  return std::llround(
      std::clamp(value / column_.resolution(), -double(kFarthest), double(kFarthest)));
}

std::int64_t Encoding::level_of(double value) const {
  const auto index = index_of(value);
  const auto after = std::ranges::upper_bound(pieces_, index, {}, [](const Piece& p) {
    return p.shape == Piece::Shape::kBelow ? INT64_MIN : p.first;
  });
  return after - pieces_.begin() - 1;
}

std::int64_t Encoding::level_of(std::string_view label) const {
  const auto at = std::ranges::find(column_.labels, label);
  return at == column_.labels.end() ? -1 : at - column_.labels.begin();
}

std::int64_t Encoding::level_of_gap() const {
  return column_.missing_is_category ? levels() - 1 : kUnknown;
}

double Encoding::log_recorded(double value) const {
  return pieces_[std::size_t(level_of(value))].log_probability(index_of(value));
}

std::string Encoding::text(std::int64_t level, double u, std::int64_t from,
                           std::int64_t until) const {
  if (column_.missing_is_category && level == levels() - 1) return kGap;
  if (!column_.has_density()) return column_.labels[std::size_t(level)];
  using Shape = Piece::Shape;
  const auto& piece = pieces_[std::size_t(level)];
  from = std::max(from, piece.shape == Shape::kBelow ? -kFarthest : piece.first);
  until = std::min(until, piece.shape == Shape::kAbove ? kFarthest : piece.last);
  // Within the training rows' range where there is something of it; else what is nearest to that.
  if (std::max(from, low_) <= std::min(until, high_)) {
    from = std::max(from, low_);
    until = std::min(until, high_);
  } else {
    from = until = until < low_ ? until : from;
  }
  return text_of(piece.at(u, from, until));
}

std::string Encoding::quantile(const double* p, double q) const {
  std::size_t chosen = 0;
  double left = q;
  for (std::size_t k = 0; k < pieces_.size(); ++k) {
    if (p[k] <= 0) continue;
    chosen = k;
    if (left < p[k]) break;
    left -= p[k];
  }
  const auto& piece = pieces_[chosen];
  const double share = std::clamp(left / p[chosen], 0.0, 1 - 1e-12);
  const auto index = piece.at(piece.shape == Piece::Shape::kBelow ? 1 - 1e-12 - share : share,
                              piece.shape == Piece::Shape::kBelow ? -kFarthest : piece.first,
                              piece.shape == Piece::Shape::kAbove ? kFarthest : piece.last);
  return text_of(std::clamp(index, low_, high_));
}

std::string Encoding::range(std::int64_t level) const {
  if (!column_.has_density() || level == level_of_gap()) return text(level, 0);
  const auto& piece = pieces_[std::size_t(level)];
  if (piece.shape == Piece::Shape::kBelow) return "<=" + text_of(piece.last);
  if (piece.shape == Piece::Shape::kAbove) return ">=" + text_of(piece.first);
  if (piece.first == piece.last) return text_of(piece.first);
  return text_of(piece.first) + ".." + text_of(piece.last);
}

std::string Encoding::text_of(std::int64_t index) const {
  const auto value = value_of(index);
  return column_.kind == Kind::kDate ? write_date(value, column_.date)
                                     : write_number(value, column_.decimals, column_.comma);
}

}  // namespace marginalia::tables
