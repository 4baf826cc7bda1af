#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <marginalia/text_file.h>

namespace marginalia::landscape {

/// How a file of words and scores is read.
struct FileFormat {
  std::string header = "auto";           ///< "auto", "yes" or "no"
  std::string word, second_word, score;  ///< columns: names in the header, or numbers from 1
  std::string alphabet;                  ///< in order; empty: the letters of the words, sorted
  bool missing_words = false;            ///< whether some of the words may not be there
};

/// The scores of all words of as many letters.
struct WordTable {
  std::string alphabet;
  std::int64_t letters = 0;
  std::vector<double>
      scores;                ///< [K^letters], the last letter fastest; NaN where the file has none
  double low = 0, high = 0;  ///< the least and the greatest score of the file
  std::int64_t lowest_line = 0;
};

/// Reads lines of words and scores, between tabs, commas, semicolons or blanks. The first line is a
/// header where it has the names of the columns, or no number in the score's place. Throws
/// SpecError with the line that is wrong; unless `missing_words`, every word has to be there.
WordTable read_words(const marginalia::TextFile& file, const FileFormat& format);

}  // namespace marginalia::landscape
