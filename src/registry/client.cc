#include "registry/client.h"

#include <algorithm>

#include "registry/json.h"

namespace baiwan::registry {
namespace {

constexpr Nanos kTimeout = 3 * kSecond;

}  // namespace

RegistryClient::RegistryClient(NodeContext& node, const ClientOptions& options)
    : node_(node),
      options_(options),
      renewer_(net::HttpClient::Create(node, options.registry)),
      watcher_(net::HttpClient::Create(node, options.registry)) {
  Watch();
}

RegistryClient::~RegistryClient() {
  node_.loop.Cancel(renew_timer_);
  node_.loop.Cancel(watch_timer_);
}

std::string RegistryClient::PathOf(const Service& s) {
  return fmt::format("/v1/services/{}/{}/{}", s.role, s.cell, s.name);
}

Nanos RegistryClient::Backoff(std::uint32_t failures) {
  const Nanos most =
      std::min(options_.backoff_max, options_.backoff_first << std::min(failures, 10U));
  return 1 + static_cast<Nanos>(node_.rng.Below(static_cast<std::uint64_t>(most)));
}

// ---------------------------------------------------------------- our leases

void RegistryClient::Announce(const Service& service) {
  announced_.push_back(service);
  node_.loop.Cancel(renew_timer_);
  if (to_renew_.empty()) return Renew();
  to_renew_.push_back(announced_.size() - 1);
}

void RegistryClient::Renew() {
  to_renew_.clear();
  for (std::size_t i = 0; i < announced_.size(); ++i) to_renew_.push_back(i);
  NextRenewal();
}

void RegistryClient::NextRenewal() {
  if (to_renew_.empty()) {
    if (withdrawing_) return std::exchange(withdrawn_, nullptr)();
    renew_timer_ = node_.loop.After(options_.renew, [this] { Renew(); });
    return;
  }
  if (renewer_->busy()) return;
  const Service& s = announced_[to_renew_.front()];
  renewer_->Request(
      withdrawing_ ? "DELETE" : "PUT", PathOf(s), withdrawing_ ? std::string() : BodyOf(s), {},
      kTimeout, [this](Result<net::HttpResponse, NetError> response) {
        const Service& service = announced_[to_renew_.front()];
        const bool good = response && (response->status == 200 || withdrawing_);
        if (good || withdrawing_) {
          renew_failures_ = 0;
          to_renew_.pop_front();
          return NextRenewal();
        }
        if (response && renew_failures_ == 0) {
          node_.log.Error("the registry refuses {} of cell {} at {}: {} {}", service.role,
                          service.cell, service.endpoint.ToString(), response->status,
                          response->body);
        }
        renew_timer_ = node_.loop.After(Backoff(renew_failures_++), [this] { NextRenewal(); });
      });
}

void RegistryClient::Withdraw(std::function<void()> done) {
  withdrawing_ = true;
  withdrawn_ = std::move(done);
  node_.loop.Cancel(renew_timer_);
  const bool waiting = renewer_->busy();
  to_renew_.clear();
  for (std::size_t i = 0; i < announced_.size(); ++i) to_renew_.push_back(i);
  if (waiting) {
    // The answer to what is under way would be taken for ours: start afresh.
    renewer_ = net::HttpClient::Create(node_, options_.registry);
  }
  NextRenewal();
}

// ---------------------------------------------------------------- everybody else's

void RegistryClient::Listen(std::function<void()> on_change) {
  listeners_.push_back(std::move(on_change));
  if (!services_.empty()) listeners_.back()();
}

void RegistryClient::Watch() {
  const std::string path =
      fmt::format("/v1/watch?after={}&timeout={}", revision_, options_.watch / kSecond);
  watcher_->Request("GET", path, {}, {}, options_.watch + 10 * kSecond,
                    [this](Result<net::HttpResponse, NetError> response) { Received(response); });
}

void RegistryClient::Received(Result<net::HttpResponse, NetError>& response) {
  if (response && response->status == 200) {
    auto listing = ListFromJson(response->body);
    if (listing) {
      watch_failures_ = 0;
      revision_ = listing->revision;
      Adopt(std::move(listing->services));
      // Not in this callback: the client is still busy with it.
      watch_timer_ = node_.loop.After(kMillisecond, [this] { Watch(); });
      return;
    }
    node_.log.Error("the registry's list cannot be read: {}", listing.error());
  }
  revision_ = 0;  // whoever answers next may be another registry
  watch_timer_ = node_.loop.After(Backoff(watch_failures_++), [this] { Watch(); });
}

// A list that lacks services that we know may come from a registry that has just started, and that
// they have not found yet. What it adds or moves counts at once; what it lacks only after a grace
// period longer than a lease.
void RegistryClient::Adopt(std::vector<Service> services) {
  const auto same = [](const Service& a, const Service& b) {
    return a.role == b.role && a.cell == b.cell && a.name == b.name;
  };
  std::vector<Service> missing;
  for (const Service& known : services_) {
    const bool there = std::any_of(services.begin(), services.end(),
                                   [&](const Service& s) { return same(s, known); });
    if (!there) missing.push_back(known);
  }
  const Nanos now = node_.clock.Monotonic();
  if (missing.empty()) {
    shrunk_since_ = 0;
  } else {
    if (shrunk_since_ == 0) shrunk_since_ = now;
    if (now - shrunk_since_ < options_.grace) {
      services.insert(services.end(), missing.begin(), missing.end());
    } else {
      shrunk_since_ = 0;
    }
  }
  std::sort(services.begin(), services.end(), [](const Service& a, const Service& b) {
    return std::tie(a.role, a.cell, a.name) < std::tie(b.role, b.cell, b.name);
  });
  if (services == services_) return;
  services_ = std::move(services);
  for (const auto& listener : listeners_) listener();
}

}  // namespace baiwan::registry
