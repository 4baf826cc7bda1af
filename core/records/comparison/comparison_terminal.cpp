/// \file
/// A comparison as it is read on a terminal: aligned tables that are broken where they are wider.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "comparison_layout.h"
#include "sdk/base/text.h"

namespace marginalia {
namespace {

using comparison::Grid, comparison::Words;

constexpr std::size_t kGap = 2, kLeastWidth = 40;

/// Characters as they are seen: bytes that go on in UTF-8 are none.
std::size_t count_characters(const std::string& text) {
  return std::size_t(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) >> 6) != 2; }));
}

/// The first bytes of a text that are at most `most` characters; breaks after a blank or one of
/// "_-," where there is one.
std::size_t first_part(const std::string& text, std::size_t most) {
  std::size_t end = 0, last_break = 0;
  for (std::size_t seen = 0; end < text.size(); ++end) {
    const bool begins = (static_cast<unsigned char>(text[end]) >> 6) != 2;
    if (begins && seen++ == most) return last_break > 0 ? last_break : end;
    if (std::string_view(" _-,").find(text[end]) != std::string_view::npos) last_break = end + 1;
  }
  return end;
}

std::string without_end(std::string text) {
  while (text.ends_with(' '))
    text.pop_back();
  return text;
}

/// A text in lines of at most `most` characters.
Words wrapped(std::string text, std::size_t most) {
  Words lines;
  while (count_characters(text) > most) {
    const auto end = first_part(text, most);
    lines.push_back(without_end(text.substr(0, end)));
    text.erase(0, end);
  }
  lines.push_back(without_end(std::move(text)));
  return lines;
}

std::string paragraph(const std::string& text, std::size_t width, const std::string& before = "") {
  const std::string indent(count_characters(before), ' ');
  std::string all;
  for (const auto& line : wrapped(text, width - indent.size()))
    all += (all.empty() ? before : indent) + line + "\n";
  return all;
}

/// A line of cells, each in as many lines as it needs, the last ones of all at one height: heads
/// stand above their column, and a row's numbers beside the end of its name.
std::string lay_out(const std::vector<Words>& cells, const std::vector<std::size_t>& widths) {
  std::size_t height = 0;
  for (const auto& cell : cells)
    height = std::max(height, cell.size());
  std::string text;
  for (std::size_t i = 0; i < height; ++i) {
    std::string line;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const auto above = height - cells[c].size();
      const auto word = i < above ? std::string() : cells[c][i - above];
      const std::string fill(widths[c] - count_characters(word), ' ');
      line += c == 0 ? word + fill : std::string(kGap, ' ') + fill + word;
    }
    text += without_end(line) + "\n";
  }
  return text;
}

/// As wide as its cells and the longest word of its head, and no wider than `most`.
std::size_t column_width(const Grid& grid, std::size_t c, std::size_t most) {
  std::size_t width = 0;
  auto head = grid.heads[c];
  for (const auto& word : wrapped(head, 1 + most / 4))
    width = std::max(width, count_characters(word));
  for (const auto& row : grid.rows)
    width = std::max(width, count_characters(row[c]));
  return std::min(width, most);
}

/// Some columns of a grid beside the names of its rows.
std::string block(const Grid& grid, const std::vector<std::size_t>& columns,
                  const std::vector<std::size_t>& widths) {
  const auto cells = [&](const Words& words) {
    std::vector<Words> all;
    for (std::size_t i = 0; i < columns.size(); ++i)
      all.push_back(wrapped(words[columns[i]], widths[i]));
    return all;
  };
  auto text = lay_out(cells(grid.heads), widths);
  std::size_t total = 0;
  for (const auto width : widths)
    total += width + kGap;
  text += std::string(total - kGap, '-') + "\n";
  for (const auto& row : grid.rows)
    text += lay_out(cells(row), widths);
  return text;
}

std::string terminal(const Grid& grid, std::size_t width) {
  auto text = grid.title.empty() ? "" : paragraph(grid.title, width) + "\n";
  const auto names = column_width(grid, 0, width / 3);
  std::vector<std::size_t> columns{0}, widths{names};
  std::size_t used = names;
  for (std::size_t c = 1; c < grid.heads.size(); ++c) {
    const auto wide = column_width(grid, c, width - names - kGap);
    if (columns.size() > 1 && used + kGap + wide > width) {
      text += block(grid, columns, widths) + "\n";
      columns = {0};
      widths = {names};
      used = names;
    }
    columns.push_back(c);
    widths.push_back(wide);
    used += kGap + wide;
  }
  text += block(grid, columns, widths);
  for (const auto& remark : grid.remarks)
    text += paragraph(remark, width);
  return text + "\n";
}

}  // namespace

std::string terminal_tables(const Comparison& made, std::size_t width) {
  width = std::max(width, kLeastWidth);
  auto text = made.study + "\n\n";
  if (!made.note.empty()) text += paragraph(made.note, width) + "\n";
  for (const auto& grid : comparison::grids(made, {"*", ""}))
    text += terminal(grid, width);
  if (const auto scaling = comparison::scaling_grid(made.scaling); !scaling.rows.empty())
    text += terminal(scaling, width);
  else if (!made.scaling.why.empty())
    text += paragraph(scaling.title + ": none: " + made.scaling.why + ".", width) + "\n";
  text += paragraph(comparison::explanation(made, "*"), width);
  for (const auto& note : made.notes)
    text += paragraph(replaced(note, "\n", "; "), width, "- ");
  return text;
}

}  // namespace marginalia
