#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/config.h"
#include "base/units.h"

namespace baiwan {
namespace {

bool Counts(const DeployedProcess& process, const ConfigKey& key) {
  if (process.sections.empty()) return true;
  return std::any_of(process.sections.begin(), process.sections.end(),
                     [&](const auto& section) { return key.name.rfind(section + ".", 0) == 0; });
}

bool OnAll(const Endpoint& endpoint) { return endpoint.host == "0.0.0.0" || endpoint.host == "::"; }

std::string Canonical(const Endpoint& endpoint) {
  return endpoint.host == "localhost" ? "127.0.0.1" : endpoint.host;
}

struct Listening {
  const DeployedProcess* process;
  const ConfigKey* key;
  Endpoint at;
  std::uint32_t last() const { return at.port + process->ports - 1; }
};

bool Clash(const Listening& a, const Listening& b) {
  return a.at.port <= b.last() && b.at.port <= a.last() &&
         (OnAll(a.at) || OnAll(b.at) || Canonical(a.at) == Canonical(b.at));
}

std::string Ports(const Listening& l) {
  if (l.process->ports == 1) return l.at.ToString();
  return fmt::format("{} (to {})", l.at.ToString(), l.last());
}

void CheckPorts(const std::vector<Listening>& listening, std::vector<ConfigError>* errors) {
  for (std::size_t i = 0; i < listening.size(); ++i) {
    const Listening& b = listening[i];
    if (b.last() > 65'535) {
      errors->push_back(
          {b.process->name, b.key->name,
           fmt::format("{} goes beyond the last port, 65535: begin lower", Ports(b))});
    }
    for (std::size_t j = 0; j < i; ++j) {
      const Listening& a = listening[j];
      if (!Clash(a, b)) continue;
      errors->push_back({b.process->name, b.key->name,
                         fmt::format("{} is taken by {} of {} on {}: give one of them another port",
                                     Ports(b), a.key->name, a.process->name, a.process->machine)});
      break;  // the others that have it are told of themselves
    }
  }
}

}  // namespace

std::vector<ConfigError> CheckDeployment(const std::vector<DeployedProcess>& processes,
                                         std::uint64_t machine_bytes) {
  struct Machine {
    std::vector<Listening> listening;
    std::uint64_t bytes = 0;
    std::vector<std::string> shares;
  };
  std::map<std::string, Machine> machines;
  for (const DeployedProcess& process : processes) {
    Machine& machine = machines[process.machine];
    for (const ConfigKey& key : process.config->keys()) {
      if (!Counts(process, key)) continue;
      if (key.use == ConfigUse::kListens) {
        const Endpoint& at = process.config->endpoint(key.name);
        if (!at.host.empty() && at.port != 0) machine.listening.push_back({&process, &key, at});
      } else if (key.use == ConfigUse::kMemory) {
        const std::uint64_t bytes = process.config->bytes(key.name);
        machine.bytes += bytes;
        machine.shares.push_back(
            fmt::format("{} {} {}", process.name, key.name, FormatBytes(bytes)));
      }
    }
  }
  std::vector<ConfigError> errors;
  for (const auto& [name, machine] : machines) {
    CheckPorts(machine.listening, &errors);
    if (machine.bytes > machine_bytes) {
      errors.push_back({name, "",
                        fmt::format("its processes may use {} of memory together, and it has {}: "
                                    "lower some of {}",
                                    FormatBytes(machine.bytes), FormatBytes(machine_bytes),
                                    fmt::join(machine.shares, ", "))});
    }
  }
  return errors;
}

}  // namespace baiwan
