#include "verify/verify.h"

#include <optional>

#include "base/clock.h"
#include "verify/verification.h"

namespace baiwan::verify {

VerifyReport VerifyStores(const VerifyOptions& options) {
  VerifyReport report;
  const Nanos begin = SystemClock().Monotonic();
  Verification(options, std::nullopt, report).Run();
  report.seconds = static_cast<double>(SystemClock().Monotonic() - begin) / kSecond;
  return report;
}

}  // namespace baiwan::verify
