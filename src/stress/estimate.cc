#include "stress/estimate.h"

namespace baiwan::stress {
namespace {

constexpr std::uint64_t kStoreOverhead = 400ULL << 20;
constexpr std::uint64_t kBytesPerMessage = 64;  // beside its body, in two boxes
constexpr std::uint64_t kBytesPerRelation = 20;
constexpr double kSlowest = 2000;  // messages a second of a machine
constexpr Nanos kAtLeast = 600 * kSecond;

}  // namespace

std::uint64_t DiskOf(const WorkloadSpec& spec, std::uint64_t stores) {
  return stores * kStoreOverhead +
         TotalMessages(spec) * (kBytesPerMessage + 2 * std::uint64_t{spec.body_bytes}) +
         TotalRelations(spec) * kBytesPerRelation;
}

Nanos TimeFor(const WorkloadSpec& spec, double rate, std::uint32_t machines) {
  const double per_second = rate > 0 ? rate * 0.9 : kSlowest * machines;
  return kAtLeast +
         static_cast<Nanos>(static_cast<double>(TotalMessages(spec)) / per_second * kSecond);
}

}  // namespace baiwan::stress
