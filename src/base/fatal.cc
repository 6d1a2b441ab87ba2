#include "base/fatal.h"

#include <unistd.h>

#include <cstdio>

namespace baiwan {
namespace {

class ExitProcess final : public Fatal {
 public:
  void Die(std::string_view why) override {
    std::fprintf(stderr, "fatal: %.*s\n", static_cast<int>(why.size()), why.data());
    std::fflush(stderr);
    _exit(70);  // no destructors: nothing may be flushed after a failed promise
  }
};

}  // namespace

Fatal& ProcessFatal() {
  static ExitProcess fatal;
  return fatal;
}

}  // namespace baiwan
