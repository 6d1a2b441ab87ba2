#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace baiwan {

void CheckFailed(const char* file, int line, const char* condition, const char* sentence) {
  std::fprintf(stderr, "fatal: %s:%d: %s: not so: %s\n", file, line, sentence, condition);
  std::fflush(stderr);
  std::abort();
}

}  // namespace baiwan
