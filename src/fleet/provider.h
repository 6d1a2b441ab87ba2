// Asking a provider (deploy/providers/README.md) for the hosts of a plan.
//
// Threads: one. Failure: a provider's own words, with the host and the command that it names.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fleet/check.h"
#include "fleet/controller.h"
#include "fleet/plan.h"
#include "fleet/tool.h"

namespace baiwan::fleet {

// The document that every command is given. `state` is the folder for the provider's own files.
// `left`: until the journey's deadline; hosts that are made now end themselves soon after it, and
// in any case after the whole deadline of the plan.
std::string ProviderRequest(const FleetPlan& plan, const std::string& state,
                            std::optional<Nanos> left = std::nullopt);

struct ProvidedHost {
  std::string name;
  std::string state;  // "running", "starting", "ended", "missing", "unknown" (to who may not look)
  bool disk_kept = false;
  Argv ssh;
};
// What `up` and `describe` answer.
struct Described {
  std::vector<ProvidedHost> hosts;
  std::string ssh_key;      // as seen from where it was asked
  std::string known_hosts;  // likewise
  std::string heartbeat;    // a file on each host, see pulse.h

  const ProvidedHost* Find(std::string_view name) const;
};
Result<Described, std::string> ParseDescribed(std::string_view json);
// What an answer says went wrong; `otherwise` if it says nothing that can be read.
Failure ParseProviderFailure(std::string_view json, const std::string& otherwise);
// Adds what `check` answers; of a plan's hosts where these are parts of one machine.
std::optional<std::string> AddFacts(std::string_view json, ProviderFacts* facts);

struct ProviderAt {
  std::string program;  // …/providers/NAME/provider
  std::string folder;   // for the streams of its calls
  std::string state;
};
Result<Described, std::string> Describe(const ProviderAt& at, const FleetPlan& plan, Nanos limit);
// Has the provider put `file` where the run's hosts can fetch it, and the address into the file
// `link`. What went wrong, or nothing.
std::optional<std::string> Publish(const ProviderAt& at, const FleetPlan& plan,
                                   const std::string& file, const std::string& link, Nanos limit);
// `up` and `down` as steps. Each host is done when the provider says so, the others at the end.
std::unique_ptr<Activity> ProviderStep(const ProviderAt& at, const FleetPlan& plan, Step step,
                                       const std::vector<std::string>& hosts,
                                       std::optional<Nanos> left = std::nullopt);

}  // namespace baiwan::fleet
