// A process's side of the registry: registers its services, keeps their leases, and watches who
// else is there and who owns what.
//
// It tries for ever, with backoff and jitter, so services start in any order and survive the
// registry's restart: while the registry is away the last known list and table stay in force. A
// registry that has just started knows nobody yet: until it says that it is settled, what it lists
// is added to what we know, and nothing is taken away.
//
// Threads: one loop. Failure: a service that is refused (409: the address belongs to another; 410:
// a later process of this name is registered; 401: it has another secret) is logged and tried
// again, since the other's lease may run out; it does not keep the others from being renewed.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "base/node_context.h"
#include "net/http.h"
#include "placement/placement.h"
#include "registry/directory.h"
#include "registry/json.h"
#include "registry/proof.h"

namespace baiwan::registry {

struct ClientOptions {
  Endpoint registry;
  // With a secret, what is announced is proved, and of gateways, logic servers and relays only
  // those are known that belong to the deployment, whatever the registry says.
  Membership member;
  bool only_members = true;  // false: all that are listed are known, for who looks and never dials
  Nanos renew = 0;           // 0: a third of the lease that the registry gives
  Nanos watch = 20 * kSecond;   // one long poll
  Nanos timeout = 3 * kSecond;  // any other request
  Nanos backoff_first = 50 * kMillisecond;
  Nanos backoff_max = 2 * kSecond;
  Nanos withdraw = 2 * kSecond;  // how long leaving may take at most
  // What announced services serve must not be served: another process has that cell, see claims.h.
  // Given the registry's words; the process is to end.
  std::function<void(const std::string& why)> on_disowned;
  // A service with a claim is registered for the first time.
  std::function<void()> on_granted;
};

class RegistryClient final : public Directory {
 public:
  RegistryClient(NodeContext& node, const ClientOptions& options);
  ~RegistryClient() override;

  // Keeps this service registered from now on. One that was announced before under the same role,
  // cell and name is replaced.
  void Announce(const Service& service);
  // Renews everything announced at once: something was heard that may concern it.
  void RenewNow();
  // De-registers everything announced, once, and calls `done`: when all is answered, or after
  // ClientOptions::withdraw, whichever is first. Never inside this call. The list is still watched.
  void Withdraw(std::function<void()> done);
  // True when everything announced is registered.
  bool registered() const;

  const std::vector<Service>& services() const override { return services_; }
  void Listen(std::function<void()> on_change) override;

  // The newest placement table that was seen; null before the first.
  const placement::PlacementTable* table() const { return table_ ? &*table_ : nullptr; }
  // Called after every change of table(), and at once if there is one.
  void ListenTable(std::function<void(const placement::PlacementTable&)> on_change);

 private:
  struct Announced {
    Service service;
    bool registered = false;
    bool refused = false;  // and that was logged
    std::uint32_t failures = 0;
    Nanos due = 0;
  };

  net::Headers ProofOf(std::string_view method, std::string_view target,
                       std::string_view body) const;
  bool LearnRegistry(const Result<net::HttpResponse, NetError>& response);
  bool Known(const Service& service);
  void RenewDue();
  void Renewed(const ServiceKey& key, const Result<net::HttpResponse, NetError>& response);
  void NextRemoval();
  void Left();
  void WatchSoon(Nanos delay);
  void Watch();
  void Received(const Result<net::HttpResponse, NetError>& response);
  bool Adopt(Listing& listing);
  void FetchTable();
  Nanos Backoff(std::uint32_t failures);

  NodeContext& node_;
  const ClientOptions options_;

  // Our own leases.
  std::map<ServiceKey, Announced> announced_;
  std::unique_ptr<net::HttpClient> renewer_;
  Nanos renew_every_;
  TimerId renew_timer_ = 0;
  std::deque<ServiceKey> to_remove_;
  std::function<void()> withdrawn_;
  bool withdrawing_ = false;
  TimerId withdraw_timer_ = 0;

  // Everybody's.
  std::unique_ptr<net::HttpClient> watcher_;
  std::map<ServiceKey, Service> known_;
  std::vector<Service> services_;  // known_, as Directory has it
  std::vector<std::function<void()>> listeners_;
  std::uint64_t prove_to_ = 0;      // the registry's start, as it told when it missed a proof
  std::set<ServiceKey> strangers_;  // told of in the log
  std::uint64_t registry_ = 0;
  std::uint64_t revision_ = 0;
  bool unsettled_ = false;  // known_ may hold some who are gone
  std::uint32_t watch_failures_ = 0;
  TimerId watch_timer_ = 0;
  std::optional<placement::PlacementTable> table_;
  std::vector<std::function<void(const placement::PlacementTable&)>> table_listeners_;
};

}  // namespace baiwan::registry
