// The result of a stress test, as result.json keeps it. docs/run-folder.md describes every field.
//
// Pure. Failure: FromJson takes any text and says what is wrong; unknown fields are passed over,
// and what is missing keeps its default, so that older results stay readable.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/histogram.h"
#include "base/result.h"
#include "stress/offer.h"
#include "stress/steady.h"
#include "stress/timeline.h"
#include "stress/workload.h"

namespace baiwan::stress {

inline constexpr std::uint32_t kResultVersion = 1;

struct RunMessages {
  std::uint64_t sent = 0;          // by the workload: what should be there
  std::uint64_t stored = 0;        // in the sender's outbox
  std::uint64_t delivered = 0;     // in the friend's inbox
  std::uint64_t acknowledged = 0;  // the sender knows
  std::uint64_t verified = 0;      // found, by the verifier, as sent
  std::uint64_t lost = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t reordered = 0;
  std::uint64_t altered = 0;
  std::uint64_t foreign = 0;  // that nobody sent
  std::uint64_t counter = 0;  // users whose counters do not agree

  bool operator==(const RunMessages&) const = default;
};

struct RunPhases {  // seconds
  double generate = 0;
  double import = 0;
  double start = 0;
  double run = 0;  // from the first submit to the last acknowledgement
  double verify = 0;

  bool operator==(const RunPhases&) const = default;
};

struct RunLatency {  // milliseconds, from the moment that was planned
  double p50 = 0;
  double p99 = 0;
  double p999 = 0;
  double max = 0;

  bool operator==(const RunLatency&) const = default;
};
RunLatency LatencyOf(const Histogram& histogram);

// What the run was asked to do. The workload is in `spec`.
struct RunOptions {
  WorkloadSpec spec;
  std::string protocol = "ws";
  std::string layout = "cell";
  std::uint32_t concurrency = 200;
  std::uint32_t messages_per_frame = 8;
  std::uint32_t in_flight = 32;
  double rate = 0;  // messages a second, of all cells; 0: closed loop

  bool operator==(const RunOptions&) const = default;
};

struct RunMachine {
  std::uint32_t cpus = 0;
  std::string cpu;
  std::uint64_t memory_mib = 0;
  std::string system;
  double steal_share = 0;  // of all CPU time during the run that the host kept, 0 … 1

  bool operator==(const RunMachine&) const = default;
};

// How a host fared at its worst; parts of one machine are one. Only of runs across hosts.
struct RunHost {
  std::string name;  // "worker-003", or "control and 40 others, one machine"
  std::uint64_t hosts = 1;
  std::uint32_t cpus = 0;
  double busy = 0;   // CPU, 0 … 1
  double steal = 0;  // 0 … 1
  std::uint64_t memory_mib = 0;
  std::uint64_t memory_left_mib = 0;
  std::uint64_t disk_mib = 0;
  std::uint64_t disk_left_mib = 0;
  std::string disk_host;                   // whose disk that is
  std::map<std::string, double> exceeded;  // packets beyond each network allowance

  double memory_left() const { return Share(memory_left_mib, memory_mib); }  // 0 … 1
  double disk_left() const { return Share(disk_left_mib, disk_mib); }
  bool operator==(const RunHost&) const = default;

 private:
  static double Share(std::uint64_t part, std::uint64_t all) {
    return all == 0 ? 1 : static_cast<double>(part) / static_cast<double>(all);
  }
};
// The one that fared worst, by name where several did; nothing without hosts.
struct WorstHosts {
  const RunHost* busy;
  const RunHost* steal;
  const RunHost* memory;
  const RunHost* disk;
};
std::optional<WorstHosts> WorstOf(const std::vector<RunHost>& hosts);

// What hosts of a provider have cost; only of runs across hosts.
struct RunCost {
  struct Item {
    std::string item;  // "c7g.large on demand"
    double quantity = 0;
    std::string unit;  // "hour"
    double each = 0;
    double cost = 0;

    bool operator==(const Item&) const = default;
  };
  std::string currency = "USD";
  std::string prices;  // where and when they were valid: "us-east-1, 2026-01-31"
  double hours = 0;    // from the first host's beginning to the last one's end
  double total = 0;
  std::vector<Item> items;

  bool operator==(const RunCost&) const = default;
};

struct RunResult {
  std::uint32_t version = kResultVersion;
  std::string name;  // of the run; empty: that of its folder
  std::uint64_t users = 0;
  std::uint64_t relations = 0;  // directed
  std::uint32_t cells = 0;
  RunMessages messages;
  RunPhases phase_seconds;
  double rate_per_s = 0;            // messages through the phase `run`
  std::optional<RunSteady> steady;  // the part of it in which all load clients played
  RunOffer offer;                   // whether the load was as planned
  double cpu_us_per_message = 0;    // user and system time of all processes in that phase
  std::map<std::string, double> cpu_us_by_process;
  std::optional<std::map<std::string, double>> cpu_us_by_role;  // where roles are processes
  std::optional<RunLatency> latency_stored;                     // open loop only, if it is valid
  std::optional<RunLatency> latency_delivered;
  double peak_rss_mib = 0;  // sum of the processes' own peaks
  std::map<std::string, double> peak_rss_mib_by_process;
  std::uint64_t disk_bytes = 0;  // of all stores
  double resent_share = 0;       // forwards that were repeats, of deliveries, 0 … 1
  RunOptions options;
  std::string revision;  // of the program
  std::string date;      // UTC, "2026-01-31T12:00:00Z"
  RunMachine machine;
  std::vector<RunHost> hosts;
  std::vector<std::string> warnings;  // of hosts, as they were told
  std::int64_t began_ms = 0;          // wall clock, since 1970
  std::vector<TimelineEvent> timeline;
  std::optional<RunCost> cost;
  // 0 verified, 1 mismatch, 2 usage or environment, 3 deadline, 4 verified but not as planned
  int exit_code = 0;
  std::vector<std::string> problems;  // mismatches (the first 20) or what went wrong

  bool operator==(const RunResult&) const = default;
};

inline constexpr int kExitNotAsPlanned = 4;
inline constexpr const char* kInterrupted =
    "interrupted";  // first of the problems, with exit code 3

// What the load clients came to, for a result that has its messages and its exit code: rate,
// latency, whether the load was as planned; and what they found wrong, as problems.
void TakeLoad(const DriveResults& load_clients, RunResult* result);

// With line breaks, fields in the order of the documentation.
std::string ToJson(const RunResult& result);
Result<RunResult, std::string> ResultFromJson(std::string_view json);
// runs/…/result.json
Result<RunResult, std::string> ReadResult(const std::string& path);

// The table at the end of a stress test; lines, each with its end, up to 78 columns wide.
std::string SummaryTable(const RunResult& result);
// "0 lost, 0 duplicated, …": the verifier's finding in a sentence.
std::string Verdict(const RunResult& result);

}  // namespace baiwan::stress
