/// A dataset of two states whose public files are of the tests' own making
/// (tests/program/data.cpp).
#include <marginalia/dataset.h>
#include <marginalia/plugin.h>

namespace {

using namespace marginalia;

class Published final : public Dataset {
 public:
  static constexpr const char* kName = "published";
  static constexpr const char* kSummary = "00 and 11";
  static std::vector<PublicFile> sources() {
    return {{"published/plain.bin", "https://example.org/files/plain.bin", 200000,
             "sha256:8006993938aa28eb2188163351aabcb20fe8a877b2b6b123d259b69700c80aec"},
            {"published/packed.txt.gz", "https://example.org/files/packed.txt.gz", 0,
             "md5:1391f35502587b8c61f954dba5b2043f"}};
  }
  struct Params {
    void visit(ParamVisitor&) {}
  };
  explicit Published(const Params&) {}
  const StateSpace& space() const override { return space_; }
  std::int64_t size(Split) const override { return 2; }

 private:
  Tensor compute_rows(Split, const Tensor& indices, std::uint64_t) const override {
    return indices.unsqueeze(1).repeat({1, 2});
  }
  StateSpace space_ = StateSpace::uniform(2, 2);
};

}  // namespace

MARGINALIA_PLUGIN(Published);
