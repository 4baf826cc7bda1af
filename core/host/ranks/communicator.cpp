#include "communicator.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <marginalia/error.h>

#include "heartbeats.h"
#include "together.h"

// The one file that knows c10d. What it uses of it is the same in LibTorch 1.13, where
// ProcessGroupGloo is a ProcessGroup, and in 2.x, where it is a Backend.
namespace marginalia {
namespace {

using std::chrono::milliseconds;
using StorePointer = c10::intrusive_ptr<c10d::Store>;

/// Of operations between ranks: one may wait for another's evaluation.
constexpr milliseconds kAsLongAsItTakes = std::chrono::hours(24 * 30);

std::string key_of(int rank) {
  return fmt::format("rank/{}", rank);
}

std::string seconds_text(milliseconds time) {
  return fmt::format("{:g} s", double(time.count()) / 1000);
}

/// The first line of what c10d or Gloo says, without its stack trace.
std::string first_line(const std::exception& e) {
  const auto text = describe_error(e);
  return text.substr(0, text.find('\n'));
}

/// serves: the others' connections too.
StorePointer open_store(const Rendezvous& at, bool serves) {
  c10d::TCPStoreOptions options;
  options.port = at.port;
  options.isServer = serves;
  options.waitWorkers = false;
  options.timeout = at.patience;
  try {
    const auto store = c10::make_intrusive<c10d::TCPStore>(at.address, options);
    return c10::make_intrusive<c10d::PrefixStore>(fmt::format("marginalia/{}", at.attempt), store);
  } catch (const std::exception& e) {
    if (options.isServer)
      throw SpecError(fmt::format("rank 0 cannot listen at {}:{}: {}; give MASTER_PORT another "
                                  "port, or leave it to marginalia launch",
                                  at.address, at.port, first_line(e)));
    throw Error(fmt::format("rank 0 has not come within {}: nothing listens at {}:{}",
                            seconds_text(at.patience), at.address, at.port));
  }
}

/// Looks every 20 ms whether `condition` holds, for as long as `patience`.  -> whether it does.
template <class Condition>
bool comes_about(milliseconds patience, const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(20));
  }
  return true;
}

constexpr const char *kListens = "listens", *kCome = "come", *kMet = "met", *kRead = "read";

std::vector<std::uint8_t> to_value(const std::string& text) {
  return {text.begin(), text.end()};
}

/// Who is not in the store; "" where all are.
std::string describe_missing(c10d::Store& store, const Rendezvous& at) {
  std::vector<int> missing;
  for (int rank = 0; rank < at.size; ++rank)
    if (!store.check({key_of(rank)})) missing.push_back(rank);
  if (missing.empty()) return "";
  return fmt::format("rank{} {} of {} {} not come within {}", missing.size() == 1 ? "" : "s",
                     fmt::join(missing, ", "), at.size, missing.size() == 1 ? "has" : "have",
                     seconds_text(at.patience));
}

/// Rank 0 waits for the others, and tells those that have come whether all have.
/// -> what went wrong; "": nothing.
std::string gather_ranks(c10d::Store& store, const Rendezvous& at) {
  std::int64_t come = 0;
  comes_about(at.patience, [&] { return (come = store.add(kCome, 0)) == at.size; });
  const auto wrong = describe_missing(store, at);
  store.set(kMet, to_value(wrong));
  if (!wrong.empty())  // the store is here until they have read it
    comes_about(milliseconds(5000), [&] { return store.add(kRead, 0) == come - 1; });
  return wrong;
}

/// -> what rank 0 says went wrong; "": nothing.
std::string wait_for_rank_0(c10d::Store& store, const Rendezvous& at) {
  const bool is_told =
      comes_about(at.patience + milliseconds(5000), [&] { return store.check({kMet}); });
  if (!is_told) return "rank 0 has not said whether all have come";
  const auto value = store.get(kMet);
  if (!value.empty()) store.add(kRead, 1);
  return {value.begin(), value.end()};
}

/// Waits until all ranks have come.  -> what went wrong; "": nothing.
std::string meet(c10d::Store& store, const Rendezvous& at) {
  const auto gone = fmt::format("rank 0 has not come within {}, or is gone: of {}:{} nothing is "
                                "heard",
                                seconds_text(at.patience), at.address, at.port);
  try {
    if (at.rank == 0)
      store.set(kListens, to_value("yes"));
    else
      store.wait({kListens}, at.patience);
  } catch (const std::exception&) {  // none of ours listens there
    return gone;
  }
  if (store.add(key_of(at.rank), 1) > 1)
    throw SpecError(
        fmt::format("rank {} has come twice: each process needs a RANK of its own", at.rank));
  store.add(kCome, 1);
  try {
    return at.rank == 0 ? gather_ranks(store, at) : wait_for_rank_0(store, at);
  } catch (const std::exception&) {
    return gone;
  }
}

bool is_loopback(const std::string& address) {
  return address == "localhost" || address == "::1" || address.starts_with("127.");
}

/// The network interface: that of $GLOO_SOCKET_IFNAME, as PyTorch has it; of ranks on one machine
/// the one that they meet at; else that of the machine's name.
std::shared_ptr<gloo::transport::Device> choose_device(const Rendezvous& at) {
  using c10d::ProcessGroupGloo;
  if (const auto* const name = std::getenv("GLOO_SOCKET_IFNAME"))
    return ProcessGroupGloo::createDeviceForInterface(name);
  if (is_loopback(at.address)) return ProcessGroupGloo::createDeviceForHostname(at.address);
  return ProcessGroupGloo::createDefaultDevice();
}

/// c10d takes a list of tensors that share their storage with what it is given.
std::vector<Tensor> one(const Tensor& tensor) {
  return {tensor.detach()};
}

Tensor to_bytes(const std::string& text, std::int64_t length) {
  auto bytes = torch::zeros({length}, torch::kByte);
  std::copy(text.begin(), text.end(), bytes.data_ptr<std::uint8_t>());
  return bytes;
}

std::string to_text(const Tensor& bytes, std::int64_t length) {
  const auto* const begin = bytes.data_ptr<std::uint8_t>();
  return {begin, begin + length};
}

/// Over a connection of their own: one thread waits on each.
Heartbeats::Place describe_heartbeats(const Rendezvous& at) {
  return {
      .rank = at.rank,
      .size = at.size,
      .add = [store = open_store(at, false)](const std::string& key,
                                             std::int64_t by) { return store->add(key, by); },
      .keeper = at.by_rank_0 ? "rank 0" : fmt::format("the store at {}:{}", at.address, at.port),
      .give_up = at.give_up};
}

}  // namespace

struct Communicator::Group {
  explicit Group(const Rendezvous& at)
      : rank(at.rank), store(open_store(at, at.rank == 0 && at.by_rank_0)) {
    const auto wrong = meet(*store, at);
    // Where rank 0 is the one that is missing, each says so.
    if (!wrong.empty()) throw_on_all<Error>(wrong, at.rank == 0 || wrong.starts_with("rank 0 "));
    if (at.give_up) heartbeats.emplace(describe_heartbeats(at));
    auto options = c10d::ProcessGroupGloo::Options::create(kAsLongAsItTakes);
    options->devices.push_back(choose_device(at));
    gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(store, at.rank, at.size, options);
  }

  /// Calls an operation of c10d, whose failure means that a rank is gone.
  template <class Operation>
  auto call(const Operation& operation) const {
    try {
      return operation();
    } catch (const std::exception& e) {
      const auto lost = heartbeats ? heartbeats->find_lost() : "";
      throw Error(fmt::format("rank {} has lost {}, which ended or cannot be reached: {}", rank,
                              lost.empty() ? "another rank" : lost, first_line(e)));
    }
  }

  int rank;
  StorePointer store;
  std::optional<Heartbeats> heartbeats;  // none: who started the ranks listens
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
};

Communicator::Communicator(const Rendezvous& at) : at_(at), group_(std::make_unique<Group>(at)) {}
Communicator::~Communicator() = default;

std::function<void()> Communicator::begin_all_reduce(const Tensor& tensor) {
  auto tensors = one(tensor);
  auto work = group_->call([&] { return group_->gloo->allreduce(tensors); });
  return [this, work, tensor] { group_->call([&] { work->wait(); }); };
}

void Communicator::all_reduce(const Tensor& tensor) {
  begin_all_reduce(tensor)();
}

void Communicator::broadcast(const Tensor& tensor) {
  auto tensors = one(tensor);
  group_->call([&] { group_->gloo->broadcast(tensors)->wait(); });
}

std::string Communicator::broadcast(std::string text) {
  auto length = torch::tensor(std::int64_t(text.size()));
  broadcast(length);
  const auto count = length.item<std::int64_t>();
  text.resize(std::size_t(count));
  const auto bytes = to_bytes(text, count);
  if (count > 0) broadcast(bytes);
  return to_text(bytes, count);
}

void Communicator::barrier() {
  group_->call([&] { group_->gloo->barrier()->wait(); });
}

std::function<Tensor()> Communicator::begin_all_gather(const Tensor& rows) {
  auto own = one(rows.contiguous());
  std::vector<std::vector<Tensor>> all(1);
  for (int rank = 0; rank < size(); ++rank)
    all[0].push_back(torch::empty_like(own[0]));
  auto work = group_->call([&] { return group_->gloo->allgather(all, own); });
  return [this, work, all] {
    group_->call([&] { work->wait(); });
    return torch::cat(all[0]);
  };
}

Tensor Communicator::all_gather(const Tensor& rows) {
  return begin_all_gather(rows)();
}

std::vector<std::string> Communicator::all_gather(const std::string& text) {
  const auto lengths = all_gather(torch::tensor({std::int64_t(text.size())}));
  const auto longest = lengths.max().item<std::int64_t>();
  std::vector<std::string> texts(static_cast<std::size_t>(size()));
  if (longest == 0) return texts;
  const auto bytes = all_gather(to_bytes(text, longest)).view({size(), longest});
  for (int rank = 0; rank < size(); ++rank)
    texts[std::size_t(rank)] = to_text(bytes[rank], lengths[rank].item<std::int64_t>());
  return texts;
}

}  // namespace marginalia
