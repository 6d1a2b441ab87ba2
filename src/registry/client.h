// A process's side of the registry: registers its services, keeps their leases, and watches who
// else is there.
//
// It tries for ever, with backoff and jitter, so services start in any order and survive the
// registry's restart: while the registry is away the last known list stays in force, and after it
// has come back the list is only replaced once our own leases are in it again (a registry that has
// just started knows nobody yet).
//
// Threads: one loop. A service that is refused (409: the address belongs to another) is logged and
// tried again: the other's lease may run out.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "base/node_context.h"
#include "net/http.h"
#include "registry/directory.h"

namespace baiwan::registry {

struct ClientOptions {
  Endpoint registry;
  Nanos renew = 3 * kSecond;   // a third of the lease
  Nanos watch = 20 * kSecond;  // one long poll
  Nanos backoff_first = 50 * kMillisecond;
  Nanos backoff_max = 2 * kSecond;
  Nanos grace = 12 * kSecond;  // how long a list that lost services is held against the old one
};

class RegistryClient final : public Directory {
 public:
  RegistryClient(NodeContext& node, const ClientOptions& options);
  ~RegistryClient() override;

  // Keeps this service registered from now on.
  void Announce(const Service& service);
  // De-registers everything announced, then calls `done`; tries once.
  void Withdraw(std::function<void()> done);

  const std::vector<Service>& services() const override { return services_; }
  void Listen(std::function<void()> on_change) override;

 private:
  void Renew();
  void NextRenewal();
  void Watch();
  void Received(Result<net::HttpResponse, NetError>& response);
  void Adopt(std::vector<Service> services);
  Nanos Backoff(std::uint32_t failures);
  static std::string PathOf(const Service& service);

  NodeContext& node_;
  const ClientOptions options_;
  std::vector<Service> announced_;
  std::vector<Service> services_;
  std::vector<std::function<void()>> listeners_;
  std::unique_ptr<net::HttpClient> renewer_;
  std::unique_ptr<net::HttpClient> watcher_;
  std::deque<std::size_t> to_renew_;
  std::uint64_t revision_ = 0;
  std::uint32_t renew_failures_ = 0;
  std::uint32_t watch_failures_ = 0;
  Nanos shrunk_since_ = 0;
  bool withdrawing_ = false;
  std::function<void()> withdrawn_;
  TimerId renew_timer_ = 0;
  TimerId watch_timer_ = 0;
};

}  // namespace baiwan::registry
