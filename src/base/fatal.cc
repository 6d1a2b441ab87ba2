#include "base/fatal.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/line_writer.h"

namespace baiwan {
namespace {

class ExitProcess final : public Fatal {
 public:
  void Die(std::string_view why) override {
    ProcessStderr().WriteLast(fmt::format("fatal: {}", why));
    FlushProcessStderr();
    _exit(70);  // no destructors: nothing may be flushed after a failed promise
  }
};

}  // namespace

Fatal& ProcessFatal() {
  static ExitProcess fatal;
  return fatal;
}

}  // namespace baiwan
