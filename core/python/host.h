#pragma once

#include <signal.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <pybind11/pybind11.h>

#include <marginalia/json.h>
#include <marginalia/spec.h>

#include "host/execution/environment.h"
#include "host/plugins/plugin_host.h"

namespace marginalia::python {

/// The plugins of this process, and where it looks for data.
class Host {
 public:
  /// Loads the plugins of these folders. Refused ones are kept as texts.
  Host(const std::vector<std::filesystem::path>& folders, std::filesystem::path data);

  const PluginHost& plugins() const { return plugins_; }
  const std::filesystem::path& data() const { return data_; }
  Environment environment(const std::string& device, int threads) const;
  /// A spec: its text, what messages call it, and the folder beside which its files are looked for.
  Spec spec(const std::string& text, const std::string& name,
            const std::filesystem::path& beside) const;

 private:
  PluginHost plugins_;
  std::filesystem::path data_;
};

/// Holds LibTorch to a number of threads while the host works, and gives back what Python had.
class BorrowedThreads {
 public:
  explicit BorrowedThreads(int count);
  ~BorrowedThreads();
  BorrowedThreads(const BorrowedThreads&) = delete;
  BorrowedThreads& operator=(const BorrowedThreads&) = delete;

 private:
  int before_;
  HeldThreads held_;
};

/// Ctrl-C while the host works on Python's main thread: told by a flag, not raised inside whatever
/// function of Python is being called. Made and ended with the GIL held.
class Interrupts {
 public:
  explicit Interrupts(std::atomic<bool>& flag);
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

 private:
  bool taken_ = false;
  struct sigaction before_ {};
};

/// LibTorch's own generator, which the host seeds when it makes a model: as Python's torch had it,
/// afterwards.
class KeptGenerator {
 public:
  KeptGenerator();
  ~KeptGenerator();
  KeptGenerator(const KeptGenerator&) = delete;
  KeptGenerator& operator=(const KeptGenerator&) = delete;

 private:
  at::Tensor state_;
};

/// What a run tells Python while it goes on. Ctrl-C, and an exception in a callback, end training
/// with a checkpoint; `rethrow` then raises.
class Told {
 public:
  /// say(text), progress(step, share, loss): None, or called by the thread that called the host.
  Told(pybind11::object say, pybind11::object progress)
      : say_(std::move(say)), progress_(std::move(progress)) {}
  Hooks hooks();
  std::atomic<bool>& stop() { return stop_; }
  /// Raises, once, what a callback raised, or KeyboardInterrupt.
  void rethrow();

 private:
  template <class Call>
  void guarded(Call call);

  pybind11::object say_, progress_;
  std::atomic<bool> stop_{false};
  std::exception_ptr raised_;
};

/// JSON of the host as objects of Python; numbers that JSON writes as words ("nan") stay words.
pybind11::object to_python(const Json& json);

}  // namespace marginalia::python
