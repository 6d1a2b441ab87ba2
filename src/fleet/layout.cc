#include "fleet/layout.h"

#include <fmt/format.h>

namespace baiwan::fleet {
namespace {

constexpr std::uint32_t kSsh = 22;

Job Share(const std::string& role, std::uint32_t cells, std::uint32_t hosts, std::uint32_t host) {
  const auto first = static_cast<CellId>(std::uint64_t{host} * cells / hosts);
  const auto end = static_cast<CellId>((std::uint64_t{host} + 1) * cells / hosts);
  return {role, first, end - first};
}

}  // namespace

std::string WrongRoles(const FleetPlan& plan) {
  if (plan.roles.layout == "cell") return "";
  const auto& [layout, gateway, logic, relay] = plan.roles;
  if (gateway == 0 || logic == 0 || relay == 0) {
    return "with layout role each of gateway, logic and relay needs at least one host";
  }
  if (gateway + logic + relay != plan.hosts.count) {
    return fmt::format(
        "gateway, logic and relay take {} hosts together, and hosts.count is {}: make them the "
        "same",
        gateway + logic + relay, plan.hosts.count);
  }
  if (gateway > logic || relay > logic) {
    return fmt::format(
        "there are {} cells (one for each host with logic), so more than {} hosts with gateways or "
        "relays would have nothing to do: raise logic, or lower the others",
        logic, logic);
  }
  return "";
}

Job JobOf(const FleetPlan& plan, std::uint32_t worker) {
  const std::uint32_t cells = CellsOf(plan);
  if (plan.roles.layout == "cell") return {"cell", worker, 1};
  const RolesPlan& roles = plan.roles;
  if (worker < roles.gateway) return Share("gateway", cells, roles.gateway, worker);
  worker -= roles.gateway;
  if (worker < roles.logic) return {"logic", worker, 1};
  return Share("relay", cells, roles.relay, worker - roles.logic);
}

std::vector<Listening> ListeningFor(const FleetPlan& plan, const Job& job) {
  const PortsPlan& p = plan.ports;
  std::vector<Listening> all = {{"ssh", kSsh, 1}};
  const bool cell = job.role == "cell";
  if (cell || job.role == "gateway") all.push_back({"ports.gateway", p.gateway, job.count});
  if (cell || job.role == "relay") all.push_back({"ports.relay", p.relay, job.count});
  if (cell || job.role == "logic") all.push_back({"ports.logic", p.logic, job.count});
  if (!cell && job.role != "gateway") all.push_back({"ports.ops", p.ops, job.count});
  if (job.has_load()) all.push_back({"ports.load", p.load, job.count});
  return all;
}

std::vector<Listening> ListeningOnControl(const FleetPlan& plan) {
  return {{"ssh", kSsh, 1},
          {"ports.registry", plan.ports.registry, 1},
          {"ports.monitor", plan.ports.monitor, 1}};
}

}  // namespace baiwan::fleet
