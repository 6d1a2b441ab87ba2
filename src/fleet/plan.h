// What a run across hosts is to be: which hosts, where, what they do, what is sent, and within
// which limits. One TOML file, written by `baiwan fleet plan` and edited by people.
//
//   auto plan = ParsePlan(text, "plan.toml");
//   if (!plan) return Fail(ToText(plan.error()));
//
// Reading checks each value by itself (type, range, form); whether they fit together and fit the
// provider is CheckPlan's business (check.h). What WritePlan writes reads back to the same plan.
//
// Pure but for LoadPlan; any thread. Failure: all mistakes at once, each with its line and the fix.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/config.h"
#include "fleet/address.h"
#include "fleet/money.h"
#include "stress/workload.h"

namespace baiwan::fleet {

inline constexpr std::uint32_t kMaxHosts = 1000;  // workers; the control host comes on top
inline constexpr const char* kControl = "control";

struct HostsPlan {
  std::uint32_t count = 4;  // workers
  std::uint32_t users_per_host = 1000;
  std::string type;  // as the provider calls it; empty: it has only one
  std::string architecture = "x86_64";

  bool operator==(const HostsPlan&) const = default;
};

struct NetworkPlan {
  std::string vpc = "10.0.0.0/16";
  std::vector<std::string> subnets = {"10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24", "10.0.4.0/24"};
  std::string control = "10.0.1.11";
  std::string workers_from = "10.0.2.20";  // the first one's; the others follow one by one

  bool operator==(const NetworkPlan&) const = default;
};

struct RolesPlan {
  // "cell": a whole cell on each host. "role": each host has one role, for one or more cells; the
  // counts below say how many, and there are as many cells as hosts with logic.
  std::string layout = "cell";
  std::uint32_t gateway = 0;
  std::uint32_t logic = 0;
  std::uint32_t relay = 0;

  bool operator==(const RolesPlan&) const = default;
};

// The first port of each role on a host; further cells of a process take the following ones.
struct PortsPlan {
  std::uint32_t gateway = 9500;
  std::uint32_t relay = 11000;
  std::uint32_t logic = 9700;
  std::uint32_t registry = 8089;
  std::uint32_t monitor = 8000;
  std::uint32_t ops = 9000;   // /metrics of logic and relay where there is no gateway
  std::uint32_t load = 9100;  // /metrics of load clients

  bool operator==(const PortsPlan&) const = default;
};

struct LoadPlan {
  std::string protocol = "ws";
  std::uint32_t concurrency = 200;  // users of a cell that play at a time
  std::uint32_t in_flight = 32;
  std::uint32_t messages_per_frame = 8;
  std::uint64_t rate = 0;  // messages a second of all cells together; 0: closed loop

  bool operator==(const LoadPlan&) const = default;
};

// What only this provider knows; see deploy/providers/README.md.
struct NetnsPlan {
  std::string init = "runit";  // process 1 of a host

  bool operator==(const NetnsPlan&) const = default;
};

// Likewise. Empty texts: its own default.
struct AwsPlan {
  std::string region;
  std::string zone;
  std::string operator_cidr;  // who may reach the control host by ssh
  std::string image;
  std::string bucket;
  std::string instance_profile;
  std::string scheduler_role;
  std::string endpoint_url;  // of an emulation
  std::string ssh_config;    // file; how the operator gets to the control host
  std::string prices;        // file
  std::uint32_t disk_gb = 16;
  bool spot = false;
  bool placement_group = false;

  bool operator==(const AwsPlan&) const = default;
};

// Another service under test, instead of the chat backend: the same steps with commands of its own.
// In these, {address} is the host's own address, {next} the next worker's (the last one's is the
// first), {control} the control host's, {name} the host's name and {folder} the run's folder on it.
struct ServicePlan {
  std::string folder;               // files for every host, to {folder}/service; empty: none
  std::vector<std::string> serve;   // on each worker, in the foreground; empty: the chat backend
  std::vector<std::string> ready;   // likewise, again and again: 0 when it serves
  std::vector<std::string> load;    // likewise, until it is done
  std::vector<std::string> verify;  // on each worker when all have stopped; 0: as it should be

  bool operator==(const ServicePlan&) const = default;
};

struct LimitsPlan {
  std::uint64_t memory = 1ULL << 30;  // that the processes of a host may use together
  std::uint32_t open_files = 65'536;  // of a process
  Nanos monitor_interval = 10 * kSecond;
  std::uint32_t attempts = 3;  // of a step on a host, before it is given up
  // Hosts end themselves when nothing was heard of the controller for so long; 0: only at the
  // deadline.
  Nanos silence = 600 * kSecond;
  // Of each kind of loss, how long it may last before the run is given up. What runs on the hosts
  // goes on meanwhile.
  Nanos cut = 300 * kSecond;          // a host is there, and cannot be reached by the control host
  Nanos host_back = 600 * kSecond;    // a host is gone, with its disk kept: until it is there again
  Nanos control_cut = 600 * kSecond;  // the operator hears nothing of the control host
  Nanos control_gone = 15 * kSecond;  // likewise, and its provider says that it is gone

  bool operator==(const LimitsPlan&) const = default;
};

struct FleetPlan {
  std::string run;  // tags everything that is made, so that `down` finds it
  std::string provider = "netns";
  Nanos deadline = 7'200 * kSecond;  // of everything, from `up` to `down`
  Cents budget = 0;                  // 0: no limit
  HostsPlan hosts;
  NetworkPlan network;
  RolesPlan roles;
  PortsPlan ports;
  stress::WorkloadSpec workload;  // cells and users come from `hosts` and `roles`: see WorkloadOf
  LoadPlan load;
  LimitsPlan limits;
  NetnsPlan netns;
  AwsPlan aws;
  ServicePlan service;

  bool operator==(const FleetPlan&) const = default;
};

Result<FleetPlan, std::vector<ConfigError>> ParsePlan(std::string_view toml, std::string_view name);
// Blocks while it reads the file (up to 1 MiB).
Result<FleetPlan, std::vector<ConfigError>> ReadPlan(const std::string& path);
// With a comment above every value.
std::string WritePlan(const FleetPlan& plan);

// Whether something else than the chat backend is under test.
bool IsOther(const FleetPlan& plan);
// Cells of the deployment, and what is sent between them.
std::uint32_t CellsOf(const FleetPlan& plan);
stress::WorkloadSpec WorkloadOf(const FleetPlan& plan);
// "worker-007": the names sort as the numbers do.
std::string WorkerName(std::uint32_t number);
// Requires that control and workers_from are addresses, as in every plan that was read.
Address ControlAddress(const FleetPlan& plan);
Address WorkerAddress(const FleetPlan& plan, std::uint32_t number);
// What is wrong with a run's name; empty: nothing. It becomes part of host names, tags and paths.
std::string WrongRunName(std::string_view run);

}  // namespace baiwan::fleet
