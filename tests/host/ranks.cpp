/// What ranks tell each other, and how they find each other.
#include "ranks.h"

#include <future>
#include <map>
#include <mutex>

#include <torch/types.h>

#include "host/ranks/heartbeats.h"
#include "host/ranks/together.h"

using namespace marginalia;
using test::on_all_ranks, test::on_ranks, test::said_by;

namespace {

EnvironmentLookup of_variables(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::string() : found->second;
  };
}

const std::map<std::string, std::string> kTorchrun{{"RANK", "1"},
                                                   {"WORLD_SIZE", "4"},
                                                   {"LOCAL_WORLD_SIZE", "2"},
                                                   {"MASTER_ADDR", "n1"},
                                                   {"MASTER_PORT", "29500"}};
const std::map<std::string, std::string> kSrun{{"SLURM_PROCID", "2"},
                                               {"SLURM_NTASKS", "8"},
                                               {"SLURM_STEP_NUM_TASKS", "3"},
                                               {"SLURM_STEP_NODELIST", "n[08-10,12],m1"},
                                               {"SLURM_JOB_ID", "123456"}};

std::string refusal_of(std::map<std::string, std::string> variables,
                       const std::map<std::string, std::string>& changes) {
  for (const auto& [name, value] : changes)
    variables[name] = value;
  return test::refusal([&] { find_rendezvous(of_variables(variables), RankSource::kAny); });
}

}  // namespace

TEST_CASE("torchrun's variables say which rank this is") {
  const auto found = find_rendezvous(of_variables(kTorchrun), RankSource::kAny);
  REQUIRE(found);
  CHECK(found->rank == 1);
  CHECK(found->size == 4);
  CHECK(found->local_size == 2);
  CHECK(found->address == "n1");
  CHECK(found->port == 29500);
  CHECK(found->by_rank_0);
  auto by_agent = kTorchrun;
  by_agent["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  by_agent["TORCHELASTIC_RESTART_COUNT"] = "2";
  const auto restarted = find_rendezvous(of_variables(by_agent), RankSource::kAny);
  CHECK_FALSE(restarted->by_rank_0);
  CHECK(restarted->attempt == 2);
}

TEST_CASE("a process is alone without variables, and as the only one of its kind") {
  CHECK_FALSE(find_rendezvous(of_variables({}), RankSource::kAny));
  auto only = kTorchrun;
  only["RANK"] = "0";
  only["WORLD_SIZE"] = only["LOCAL_WORLD_SIZE"] = "1";
  CHECK_FALSE(find_rendezvous(of_variables(only), RankSource::kAny));
  // The script of a job of eight tasks is no task of a step; nor is a step of one.
  CHECK_FALSE(find_rendezvous(of_variables({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}),
                              RankSource::kAny));
  CHECK_FALSE(find_rendezvous(of_variables({{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}}),
                              RankSource::kAny));
}

TEST_CASE("SLURM's variables say it in a step of several tasks, or where they are asked for") {
  const auto found = find_rendezvous(of_variables(kSrun), RankSource::kAny);
  REQUIRE(found);
  CHECK(found->rank == 2);
  CHECK(found->size == 3);
  CHECK(found->address == "n08");
  CHECK(found->port == 23456);
  auto script = kSrun;
  script.erase("SLURM_STEP_NUM_TASKS");
  CHECK(find_rendezvous(of_variables(script), RankSource::kSlurm)->size == 8);
  auto both = kSrun;
  both.insert(kTorchrun.begin(), kTorchrun.end());
  CHECK(find_rendezvous(of_variables(both), RankSource::kAny)->size == 4);
  CHECK(find_rendezvous(of_variables(both), RankSource::kSlurm)->size == 3);
  CHECK(find_rendezvous(of_variables(both), RankSource::kSlurm)->address == "n1");
}

TEST_CASE("variables that are missing or out of range are refused by name") {
  CHECK(refusal_of(kTorchrun, {{"MASTER_PORT", ""}, {"MASTER_ADDR", ""}}) ==
        "of the variables of a rank MASTER_ADDR, MASTER_PORT are not set; start the ranks by "
        "marginalia launch, torchrun or srun");
  CHECK(refusal_of(kTorchrun, {{"RANK", "4"}}) ==
        "RANK: must be an integer from 0 to 3, not \"4\"");
  CHECK(refusal_of(kTorchrun, {{"WORLD_SIZE", "two"}}) ==
        "WORLD_SIZE: must be an integer from 1 to 4096, not \"two\"");
  CHECK(refusal_of(kTorchrun, {{"MASTER_PORT", "70000"}}) ==
        "MASTER_PORT: must be an integer from 1 to 65535, not \"70000\"");
  CHECK(test::refusal([] { find_rendezvous(of_variables({}), RankSource::kSlurm); }) ==
        "--ranks slurm: SLURM_PROCID is not set; start the ranks by srun");
}

TEST_CASE("the first of SLURM's hosts") {
  const std::map<std::string, std::string> expected{
      {"n1", "n1"},           {"n1,n2", "n1"},   {"n[08-10,12],m1", "n08"}, {"n[3]", "n3"},
      {"a[2,5]-x,b", "a2-x"}, {"a,n[1-2]", "a"}, {"rack[1-2]n7", "rack1n7"}};
  for (const auto& [list, first] : expected) {
    CAPTURE(list);
    CHECK(first_host(list) == first);
  }
}

namespace {

/// Numbers that all ranks see, and who was given up, by whom.
struct Numbers {
  std::mutex mutex;
  std::map<std::string, std::int64_t> values;
  std::vector<std::pair<int, std::string>> given_up;

  Heartbeats::Place of(int rank, int size) {
    return {.rank = rank,
            .size = size,
            .silence = std::chrono::seconds(4),
            .add =
                [this](const std::string& key, std::int64_t by) {
                  const std::lock_guard lock(mutex);
                  return values[key] += by;
                },
            .give_up =
                [this, rank](const std::string& who) {
                  const std::lock_guard lock(mutex);
                  given_up.emplace_back(rank, who);
                }};
  }
  std::vector<std::pair<int, std::string>> wait(int seconds) {
    std::this_thread::sleep_for(std::chrono::seconds(seconds));
    const std::lock_guard lock(mutex);
    return given_up;
  }
};

using GivenUp = std::vector<std::pair<int, std::string>>;

}  // namespace

TEST_CASE("a rank that never beats is named by rank 0; those that beat or have left are not") {
  Numbers numbers;
  const Heartbeats first(numbers.of(0, 4)), second(numbers.of(1, 4));
  { const Heartbeats third(numbers.of(2, 4)); }
  CHECK(first.find_lost() == "rank 3");
  CHECK(numbers.wait(5) == GivenUp{{0, "rank 3"}});
}

TEST_CASE("ranks that beat, one of them late, or have left are not given up") {
  Numbers numbers;
  const Heartbeats first(numbers.of(0, 3));
  { const Heartbeats third(numbers.of(2, 3)); }
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const Heartbeats second(numbers.of(1, 3));
  CHECK(numbers.wait(6).empty());
}

TEST_CASE("where no number can be had it is their keeper who is silent, or gone") {
  Numbers numbers;
  auto silent = numbers.of(1, 2), gone = numbers.of(1, 2);
  std::promise<void> end;
  silent.add = [wait = end.get_future().share()](const std::string&, std::int64_t) {
    wait.wait();
    return std::int64_t{0};
  };
  gone.add = [](const std::string&, std::int64_t) -> std::int64_t { throw Error("closed"); };
  const Heartbeats left(gone);
  {
    const Heartbeats waits(silent);
    CHECK(numbers.wait(6) == GivenUp{{1, "rank 0"}});
    end.set_value();
  }
  CHECK(left.find_lost() == "rank 0");
}

TEST_SUITE_BEGIN("ranks" * doctest::skip(!why_no_ranks().empty()));

TEST_CASE("ranks sum, broadcast and gather") {
  for (const int size : {2, 3}) {
    CAPTURE(size);
    const auto count = std::size_t(size);
    std::vector<Tensor> sums(count), firsts(count), all(count);
    std::vector<std::vector<std::string>> texts(count);
    std::vector<std::string> heard(count);
    on_all_ranks(size, [&](Communicator& ranks) {
      const auto i = std::size_t(ranks.rank());
      const auto own = double(ranks.rank() + 1);
      sums[i] = torch::full({5}, own, torch::kDouble);
      const auto wait = ranks.begin_all_reduce(sums[i]);
      wait();
      firsts[i] = torch::full({2, 2}, own, torch::kFloat);
      ranks.broadcast(firsts[i]);
      all[i] = ranks.all_gather(torch::full({1, 2}, ranks.rank(), torch::kLong));
      texts[i] = ranks.all_gather(std::string(i, 'x'));
      heard[i] = ranks.broadcast(std::string(i == 0 ? "said" : "not said"));
      ranks.barrier();
    });
    for (std::size_t i = 0; i < count; ++i) {
      CHECK(sums[i].equal(torch::full({5}, size * (size + 1) / 2, torch::kDouble)));
      CHECK(firsts[i].equal(torch::ones({2, 2})));
      CHECK(all[i].equal(torch::arange(size).unsqueeze(1).expand({size, 2})));
      CHECK(texts[i][count - 1] == std::string(count - 1, 'x'));
      CHECK(texts[i][0].empty());
      CHECK(heard[i] == "said");
    }
  }
}

TEST_CASE("a rank that does not come is named") {
  auto ranks = test::rendezvous_of(4);
  for (auto& rank : ranks)
    rank.patience = std::chrono::seconds(8);  // a store tries again after seconds
  const std::vector<Rendezvous> came{ranks[0], ranks[2]};
  for (const auto& thrown : on_ranks(came, [](Communicator&) {}))
    CHECK(said_by(thrown) == "ranks 1, 3 of 4 have not come within 8 s");
  ranks[1].patience = std::chrono::milliseconds(1500);
  const auto alone = on_ranks({ranks[1]}, [](Communicator&) {});
  CHECK(said_by(alone[0]) == "rank 0 has not come within 1.5 s: nothing listens at 127.0.0.1:" +
                                 std::to_string(ranks[1].port));
}

TEST_CASE("of two processes that say they are one rank the second is refused") {
  auto ranks = test::rendezvous_of(2);
  ranks[1].rank = 0;
  ranks[1].by_rank_0 = false;  // a client, as the second is not to listen
  for (auto& rank : ranks)
    rank.patience = std::chrono::seconds(8);
  const auto thrown = on_ranks(ranks, [](Communicator&) {});
  const auto all = said_by(thrown[0]) + "|" + said_by(thrown[1]);
  CAPTURE(all);
  CHECK(all.find("rank 0 has come twice: each process needs a RANK of its own") !=
        std::string::npos);
}

TEST_CASE("a port that is taken is refused") {
  auto ranks = test::rendezvous_of(2);
  const int other = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  address.sin_port = htons(ranks[0].port);
  REQUIRE(bind(other, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(listen(other, 1) == 0);
  ranks.pop_back();
  const auto thrown = on_ranks(ranks, [](Communicator&) {});
  REQUIRE(thrown[0]);
  CHECK_THROWS_AS(std::rethrow_exception(thrown[0]), SpecError);
  const auto text = said_by(thrown[0]);
  CHECK(text.starts_with("rank 0 cannot listen at 127.0.0.1:" + std::to_string(ranks[0].port)));
  close(other);
}

TEST_CASE("what goes wrong on one rank is thrown by all, once to be said") {
  const auto thrown = on_ranks(test::rendezvous_of(3), [](Communicator& ranks) {
    together(&ranks, [] {});
    together(&ranks, [&] {
      if (ranks.rank() == 1) throw SpecError("no such file");
    });
  });
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(said_by(thrown[i]) == "rank 1: no such file");
    try {
      std::rethrow_exception(thrown[i]);
    } catch (const SpecError& e) {
      CHECK((dynamic_cast<const SaidByRank0*>(&e) == nullptr) == (i == 0));
    }
  }
  const auto of_all = on_ranks(test::rendezvous_of(2), [](Communicator& ranks) {
    together(&ranks, [] { throw Error("the same"); });
  });
  CHECK(said_by(of_all[0]) == "the same");
  CHECK(said_by(of_all[1]) == "the same");
}

TEST_CASE("ranks that differ are told in what") {
  const auto thrown = on_ranks(test::rendezvous_of(3), [](Communicator& ranks) {
    check_alike(ranks, R"({"spec": {"steps": 1}})");
    check_alike(ranks,
                ranks.rank() == 2 ? R"({"spec": {"steps": 7}})" : R"({"spec": {"steps": 5}})");
  });
  for (const auto& one : thrown)
    CHECK(said_by(one) ==
          "all ranks need the same spec, build and data: /spec/steps is 5 of rank 0, and 7 of rank "
          "2");
}

TEST_CASE("a rank that ends is missed by the others") {
  const auto thrown = on_ranks(test::rendezvous_of(2), [](Communicator& ranks) {
    if (ranks.rank() == 1) throw Error("gone");
    ranks.all_reduce(torch::zeros({4}));
  });
  CHECK(said_by(thrown[0]).starts_with("rank 0 has lost another rank"));
}

TEST_SUITE_END();
