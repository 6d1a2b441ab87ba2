#include "sim/kinds.h"

#include "base/rng.h"

namespace baiwan::sim {

namespace {

constexpr std::uint64_t kCrowd = 0x6372'6F77'6400'0000;
constexpr std::uint64_t kMemory = 0x6D65'6D6F'7279'0000;
constexpr std::uint64_t kOlder = 0x6F6C'6465'7200'0000;
constexpr std::uint64_t kDamage = 0x6461'6D61'6765'0000;

}  // namespace

ClusterOptions Crowd(std::uint64_t seed) {
  Rng rng(Mix(seed, kCrowd));
  ClusterOptions o;
  o.workload.cells = 3;
  o.workload.users_per_cell = 700;
  o.workload.friends = 6;
  o.workload.messages = 20;
  o.workload.max_body = 60;
  o.max_tick = 250 * kMillisecond;
  o.chaos = ChaosOptions::Swarm(seed);
  o.chaos[Fault::kPartition] = o.chaos[Fault::kOneWay] = 0;  // mended, they would mend the cut
  o.chaos[Fault::kCrashInTurn] = 2;
  o.layout = rng.Chance(0.5) ? ClusterLayout::kCell : ClusterLayout::kRole;
  o.cut = Between(rng, 2 * kSecond, 3 * kSecond);
  o.trouble = o.cut + Between(rng, kSecond / 2, kSecond);
  o.logic.mailbox.max_body = o.workload.max_body;
  o.logic.path_credit = 16 << (10 + rng.Below(4));
  // In some, nothing is asked after in time: what waits must leave by itself.
  o.logic.audit_interval =
      rng.Chance(0.5) ? Between(rng, 5 * kSecond, 30 * kSecond) : 300 * kSecond;
  o.patience = 120 * kSecond;
  o.store.checkpoint_bytes = 256 << 10;
  o.store.recent_bytes = rng.Below(256 << 10);
  return o;
}

ClusterOptions ShortOfMemory(std::uint64_t seed) {
  Rng rng(Mix(seed, kMemory));
  ClusterOptions o = ClusterOptions::FromSeed(Mix(seed, kMemory, 1));
  o.workload.users_per_cell = static_cast<std::uint32_t>(6 + rng.Below(5));
  o.workload.friends = 4;
  o.devices = 1;
  // For all users, but not with all that belongs to them; a connection takes more than a user.
  o.logic_budget = kLinkRoom + o.workload.users_per_cell * (500 + rng.Below(800));
  o.cell_budget = kLinkRoom + o.workload.users_per_cell * (11'000 + rng.Below(6000));
  return o;
}

ClusterOptions OlderDisks(std::uint64_t seed) {
  Rng rng(Mix(seed, kOlder));
  ClusterOptions o = ClusterOptions::FromSeed(Mix(seed, kOlder, 1));
  o.workload.cells = 3;
  o.workload.users_per_cell = static_cast<std::uint32_t>(2 + rng.Below(3));
  o.logic_budget = 0;
  o.mishaps.put_backs = static_cast<int>(1 + rng.Below(2));
  return o;
}

ClusterOptions DamagedDisks(std::uint64_t seed) {
  Rng rng(Mix(seed, kDamage));
  ClusterOptions o = ClusterOptions::FromSeed(Mix(seed, kDamage, 1));
  o.workload.users_per_cell = 8;
  o.workload.friends = 3;
  o.devices = 1;
  o.logic_budget = 0;
  o.mishaps.flips = static_cast<int>(1 + rng.Below(3));
  return o;
}

}  // namespace baiwan::sim
