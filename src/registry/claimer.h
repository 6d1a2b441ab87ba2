// Asks the registry, before anything is served, whether the stores of this process may be served.
//
// Threads: one loop. Failure: a registry that cannot be reached within the time given is no
// refusal: what is served without having been granted is claimed when the registry comes back.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/node_context.h"
#include "net/http.h"
#include "registry/claims.h"
#include "registry/proof.h"

namespace baiwan::registry {

enum class Claiming : std::uint8_t { kGranted, kRefused, kUnreachable };

class Claimer {
 public:
  // `why`: the registry's words, of a refusal.
  using DoneFn = std::function<void(Claiming outcome, CellId cell, const std::string& why)>;

  Claimer(NodeContext& node, const Endpoint& registry, Membership member,
          const std::vector<std::pair<CellId, StoreClaim>>& claims);
  ~Claimer();

  // Calls `done` once: when all are granted, at the first refusal, or after `within`. It may
  // destroy the claimer.
  void Start(Nanos within, DoneFn done);

 private:
  void Ask();
  void Answered(const Result<net::HttpResponse, NetError>& response);
  void Finish(Claiming outcome, CellId cell, const std::string& why);

  NodeContext& node_;
  const Membership member_;
  std::uint64_t prove_to_ = 0;  // see RegistryClient
  const std::unique_ptr<net::HttpClient> http_;
  std::deque<std::pair<CellId, StoreClaim>> claims_;  // not granted yet
  DoneFn done_;
  TimerId deadline_ = 0;
  TimerId again_ = 0;
};

}  // namespace baiwan::registry
