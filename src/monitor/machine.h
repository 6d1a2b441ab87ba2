// The machine under a run: what it is, how busy its CPUs are, and how much of them its host takes
// away ("steal"), which ruins every measurement unnoticed.
//
// Threads: safe from any. Failure: where /proc does not say, numbers are 0 and texts are empty.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace baiwan::monitor {

// Since the machine started, in ticks, over all CPUs.
struct CpuTimes {
  std::uint64_t total = 0;
  std::uint64_t idle = 0;  // also waiting for a disk
  std::uint64_t steal = 0;
  std::uint32_t cpus = 0;
};
CpuTimes ParseProcStat(std::string_view text);
CpuTimes ReadCpuTimes();

struct CpuUse {
  double busy = 0;   // of all CPU time between two looks, 0 … 1; steal is not in it
  double steal = 0;  // 0 … 1
};
CpuUse Between(const CpuTimes& before, const CpuTimes& after);

inline constexpr double kStealWarning = 0.05;

struct MachineInfo {
  std::uint32_t cpus = 0;
  std::string cpu;
  std::uint64_t memory_mib = 0;
  std::string system;  // kernel name and release
};
MachineInfo ReadMachine();

}  // namespace baiwan::monitor
