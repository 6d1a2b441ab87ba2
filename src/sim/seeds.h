// How simulated tests choose their seeds, and how one of them is run again.
//
//   BAIWAN_SIM_SEEDS=5000   run so many seeds instead of the test's own bounded number
//   BAIWAN_SIM_SEED=1234    run this one seed only, with its last events on failure as always
//
// For tests. One thread.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace baiwan::sim {

inline std::optional<std::uint64_t> NumberFromEnvironment(const char* name) {
  const char* text = std::getenv(name);  // read before any thread
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

// `count` seeds from `first` on, unless the environment says otherwise.
inline std::vector<std::uint64_t> Seeds(std::uint64_t count, std::uint64_t first = 1) {
  if (const auto one = NumberFromEnvironment("BAIWAN_SIM_SEED")) return {*one};
  count = NumberFromEnvironment("BAIWAN_SIM_SEEDS").value_or(count);
  std::vector<std::uint64_t> seeds(count);
  for (auto& seed : seeds) seed = first++;
  return seeds;
}

// The first of `count` seeds for which `scenario` complains; for proving that planted mistakes are
// found. Not subject to the environment.
inline std::optional<std::uint64_t> FirstFailure(
    std::uint64_t count, const std::function<std::string(std::uint64_t)>& scenario) {
  for (std::uint64_t seed = 1; seed <= count; ++seed) {
    if (!scenario(seed).empty()) return seed;
  }
  return std::nullopt;
}

}  // namespace baiwan::sim
