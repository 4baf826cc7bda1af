// Public files on this disk: found packed or not, and compared with what was published.
#include "marginalia_test.h"

#include <marginalia/files.h>
#include <marginalia/source.h>

using namespace marginalia;

TEST_CASE("a copy is whole by either digest that its source names, and by no other") {
  const test::TempDir data;
  const std::string published = "3 1\r\n1 2\r\n", bare = "3 1\n1 2\n";
  PublicFile source{"g.txt", "https://example.org/g", std::int64_t(published.size()),
                    "sha256:" + sha256_hex(published)};
  const auto state = [&](const std::string& content) {
    write_atomically(data / "g.txt", content);
    return verify(source, data.path()).state;
  };
  CHECK(state(published) == FileState::kVerified);
  CHECK(state(bare) == FileState::kDamaged);
  source.or_digest = "sha256:" + sha256_hex(bare);
  CHECK(state(bare) == FileState::kVerified);
  CHECK(state(published) == FileState::kVerified);
  CHECK(state("3 1\n1 3\n") == FileState::kDamaged);
  // A second form has a name and a digest of its own: neither stands for the other.
  source.or_file = "g.graph";
  CHECK(state(bare) == FileState::kDamaged);
}
