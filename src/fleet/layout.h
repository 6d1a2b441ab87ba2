// Which worker does what: the roles of a plan spread over its hosts, and the ports that follow.
//
// Pure; any thread. Requires a plan in which JobOf has something to share out: WrongRoles says
// nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fleet/plan.h"

namespace baiwan::fleet {

// What one worker serves: cells [first, first + count).
struct Job {
  std::string role;  // "cell" (all roles), "gateway", "logic" or "relay"
  CellId first = 0;
  std::uint32_t count = 1;

  bool has_store() const { return role == "cell" || role == "logic"; }
  // Users play where their store is: their ledgers and it are verified together.
  bool has_load() const { return has_store(); }
  bool operator==(const Job&) const = default;
};

// What is wrong with the counts of hosts and roles; empty: nothing.
std::string WrongRoles(const FleetPlan& plan);

// Gateways come first, then logic, then relays; the cells of a role are spread evenly over its
// hosts, in order.
Job JobOf(const FleetPlan& plan, std::uint32_t worker);

// What listens on a host: ports [first, first + count).
struct Listening {
  std::string key;  // of the plan, "ports.gateway"
  std::uint32_t first = 0;
  std::uint32_t count = 1;
};
std::vector<Listening> ListeningFor(const FleetPlan& plan, const Job& job);
std::vector<Listening> ListeningOnControl(const FleetPlan& plan);

}  // namespace baiwan::fleet
