#include "shared_family.h"

#include <algorithm>
#include <exception>

#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>

namespace marginalia {
namespace {

constexpr std::int64_t kLeast = 32;  // rows of a rank, below which it is not worth the asking

/// Rows of which rank `rank` of `size` answers those from first to second.
std::pair<std::int64_t, std::int64_t> part_of(std::int64_t rows, int rank, int size) {
  return {rows * rank / size, rows * (rank + 1) / size};
}

/// A question without its rows.
Json describe(const Query& query, std::uint64_t seed) {
  return {{"kind", query.kind},
          {"estimator", query.estimator},
          {"orders", query.orders},
          {"order", query.order},
          {"steps", query.steps},
          {"in_float32", query.in_float32},
          {"states_alone", query.states_alone},
          {"rows", query.partial.size(0)},
          {"is_one", query.evidence().repeats_one() && !query.given.defined()},
          {"has_given", query.given.defined()},
          {"has_allowed", query.allowed.defined()},
          {"seed", seed}};
}

Query question_of(const Json& said) {
  Query query;
  query.kind = said.at("kind");
  query.estimator = said.at("estimator");
  query.orders = said.at("orders");
  query.order = said.at("order");
  query.steps = said.at("steps");
  query.in_float32 = said.at("in_float32");
  query.states_alone = said.at("states_alone");
  return query;
}

/// Calls at(what is known of the rows) with each tensor that the question has.
template <class Function>
void for_rows(Query& query, const Json& said, const Function& at) {
  at(query.partial, torch::kLong, false);
  if (said.at("has_given")) at(query.given, torch::kLong, false);
  if (said.at("has_allowed")) at(query.allowed, torch::kDouble, true);
}

/// Rank 0's rows on all ranks, of which each keeps its part.
void spread_rows(Query& query, const Json& said, const StateSpace& space, Communicator& ranks) {
  const std::int64_t rows = said.at("rows");
  const bool is_one = said.at("is_one");
  const auto [begin, end] = part_of(rows, ranks.rank(), ranks.size());
  for_rows(query, said, [&, begin = begin, end = end](Tensor& tensor, auto type, bool of_values) {
    std::vector<std::int64_t> shape{is_one ? 1 : rows, space.dimension()};
    if (of_values) shape.push_back(space.levels());
    const auto all = ranks.is_first() ? tensor.slice(0, 0, shape[0]).to(type).contiguous()
                                      : torch::empty(shape, type);
    ranks.broadcast(all);
    if (!is_one) return void(tensor = all.slice(0, begin, end));
    shape[0] = end - begin;
    tensor = all.expand(shape);
  });
}

/// An answer without its rows, or what went wrong.
Json describe(const Answer& answer) {
  Json warnings = Json::array();
  for (const auto& [row, text] : answer.warnings)
    warnings.push_back({row, text});
  return {{"status", answer.status},
          {"passes", answer.passes},
          {"has_value", answer.value.defined()},
          {"has_states", answer.states.defined()},
          {"warnings", warnings}};
}

/// The rows of all ranks, whose parts may differ by one.
Tensor gather_rows(const Tensor& own, std::int64_t rows, Communicator& ranks) {
  const auto most = (rows + ranks.size() - 1) / ranks.size();
  auto shape = own.sizes().vec();
  shape[0] = most;
  auto padded = torch::zeros(shape, own.options());
  padded.slice(0, 0, own.size(0)).copy_(own);
  const auto all = ranks.all_gather(padded);
  std::vector<Tensor> parts;
  for (int rank = 0; rank < ranks.size(); ++rank) {
    const auto [begin, end] = part_of(rows, rank, ranks.size());
    parts.push_back(all.slice(0, rank * most, rank * most + end - begin));
  }
  return torch::cat(parts);
}

/// The answers of all ranks as one.  said: describe() of each.
Answer join(const Answer& own, const std::vector<Json>& said, std::int64_t rows,
            Communicator& ranks) {
  Answer answer;
  if (said[0].at("has_value")) answer.value = gather_rows(own.value, rows, ranks);
  if (said[0].at("has_states")) answer.states = gather_rows(own.states, rows, ranks);
  answer.status = own.status;
  for (int rank = 0; rank < ranks.size(); ++rank) {
    const auto& of_rank = said[std::size_t(rank)];
    const auto [begin, end] = part_of(rows, rank, ranks.size());
    answer.passes += of_rank.at("passes").get<double>() * double(end - begin) / double(rows);
    if (of_rank.at("status") != said[0].at("status")) answer.status = Status::kEstimate;
    for (const auto& [row, text] :
         of_rank.at("warnings").get<std::vector<std::pair<std::int64_t, std::string>>>())
      answer.warnings.push_back({begin + row, text});
  }
  return answer;
}

/// Each rank's part of a question, which rank 0 has whole.  -> the answer to all of it. Throws, on
/// all, where one could not answer: what rank 0 threw, or an Error that names the rank.
Answer answer_together(const Family& family, Query query, const Json& said, Communicator& ranks) {
  spread_rows(query, said, family.space(), ranks);
  Stream stream(said.at("seed").get<std::uint64_t>(), "evaluation/share",
                std::uint64_t(ranks.rank()));
  Answer own;
  Json of_own;
  std::exception_ptr failed;
  try {
    own = family.answer(query, stream);
    of_own = describe(own);
  } catch (const std::exception& e) {
    failed = std::current_exception();
    of_own = {{"wrong", describe_error(e)}};
  }
  std::vector<Json> all;
  for (const auto& text : ranks.all_gather(of_own.dump()))
    all.push_back(Json::parse(text));
  if (failed) std::rethrow_exception(failed);
  for (std::size_t rank = 0; rank < all.size(); ++rank)
    if (all[rank].contains("wrong"))
      throw Error(fmt::format("rank {}: {}", rank, all[rank]["wrong"].get<std::string>()));
  return join(own, all, said.at("rows"), ranks);
}

}  // namespace

SharedFamily::SharedFamily(Family& family, Communicator& ranks) : family_(family), ranks_(ranks) {
  set_label(family.label());
}

SharedFamily::~SharedFamily() {
  try {
    ranks_.broadcast(std::string());
  } catch (const std::exception&) {  // a rank is lost: what comes next says so
  }
}

Answer SharedFamily::compute_answer(const Query& query, Stream& stream) const {
  const bool is_small =
      query.kind == QueryKind::kLogZ || query.partial.size(0) < kLeast * ranks_.size();
  if (is_small) return family_.answer(query, stream);
  const auto said = describe(query, stream.seed());
  ranks_.broadcast(said.dump());
  return answer_together(family_, query, said, ranks_);
}

void answer_shares(const Family& family, Communicator& ranks) {
  for (std::string said; !(said = ranks.broadcast(std::string())).empty();)
    try {
      const auto question = Json::parse(said);
      answer_together(family, question_of(question), question, ranks);
    } catch (const Error&) {
      // The next word of rank 0, or that it is lost, is heard next.
    }
}

}  // namespace marginalia
