#include "registry/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace baiwan::registry {
namespace {

constexpr Nanos kFirstRenewal = 3 * kSecond;  // until the registry has told its lease
constexpr Nanos kShortestRenewal = 20 * kMillisecond;
constexpr Nanos kBetweenWatches = kMillisecond;
constexpr std::size_t kMostStrangers = 100;  // named in the log
constexpr Nanos kPatience = 5 * kSecond;     // beyond the end of a long poll

std::string PathOf(const ServiceKey& key) {
  return fmt::format("/v1/services/{}/{}/{}", key.role, key.cell, key.name);
}

// "lease_ms" of the answer to a registration; 0 if it has none.
Nanos LeaseOf(std::string_view body) {
  constexpr std::string_view kField = "\"lease_ms\":";
  const auto at = body.find(kField);
  std::uint32_t ms = 0;
  if (at != std::string_view::npos) {
    std::from_chars(body.data() + at + kField.size(), body.data() + body.size(), ms);
  }
  return ms * kMillisecond;
}

}  // namespace

RegistryClient::RegistryClient(NodeContext& node, const ClientOptions& options)
    : node_(node),
      options_(options),
      renewer_(net::HttpClient::Create(node, options.registry)),
      renew_every_(options.renew > 0 ? options.renew : kFirstRenewal),
      watcher_(net::HttpClient::Create(node, options.registry)) {
  Watch();
}

RegistryClient::~RegistryClient() {
  node_.loop.Cancel(renew_timer_);
  node_.loop.Cancel(withdraw_timer_);
  node_.loop.Cancel(watch_timer_);
}

// Full jitter, so that those who lost the registry together do not come back together.
Nanos RegistryClient::Backoff(std::uint32_t failures) {
  const Nanos most =
      std::min(options_.backoff_max, options_.backoff_first << std::min(failures, 10U));
  return 1 + static_cast<Nanos>(node_.rng.Below(static_cast<std::uint64_t>(most)));
}

// ---------------------------------------------------------------- our leases

void RegistryClient::Announce(const Service& service) {
  if (withdrawing_) return;
  Announced& known = announced_[service.key()];
  const bool replaced = known.service.replaced && known.service.incarnation == service.incarnation;
  Announced& a = known = {service};
  a.service.replaced = replaced;
  if (!options_.member.secret.empty()) a.service.proof = ProveService(options_.member, service);
  RenewDue();
}

bool RegistryClient::registered() const {
  return std::all_of(announced_.begin(), announced_.end(),
                     [](const auto& entry) { return entry.second.registered; });
}

net::Headers RegistryClient::ProofOf(std::string_view method, std::string_view target,
                                     std::string_view body) const {
  if (options_.member.secret.empty()) return {};
  return {{kProofHeader, ProveRequest(options_.member, prove_to_, method, target, body)}};
}

// True if the registry has said to which of its starts a proof has to be bound, and that is news.
bool RegistryClient::LearnRegistry(const Result<net::HttpResponse, NetError>& response) {
  if (options_.member.secret.empty() || !response || response->status != 401) return false;
  const std::uint64_t registry = RegistryIn(response->body);
  return registry != 0 && std::exchange(prove_to_, registry) != registry;
}

// One request at a time, whichever is due first; else a timer for the first that will be.
void RegistryClient::RenewDue() {
  if (withdrawing_ || announced_.empty() || renewer_->busy()) return;
  const auto next =
      std::min_element(announced_.begin(), announced_.end(),
                       [](const auto& a, const auto& b) { return a.second.due < b.second.due; });
  node_.loop.Cancel(renew_timer_);
  const Nanos wait = next->second.due - node_.clock.Monotonic();
  if (wait > 0) {
    renew_timer_ = node_.loop.After(wait, [this] { RenewDue(); });
    return;
  }
  const std::string path = PathOf(next->first);
  const std::string body = BodyOf(next->second.service);
  renewer_->Request("PUT", path, body, ProofOf("PUT", path, body), options_.timeout,
                    [this, key = next->first](const Result<net::HttpResponse, NetError>& response) {
                      Renewed(key, response);
                      RenewDue();
                    });
}

void RegistryClient::RenewNow() {
  for (auto& [key, a] : announced_) a.due = 0;
  RenewDue();
}

void RegistryClient::Renewed(const ServiceKey& key,
                             const Result<net::HttpResponse, NetError>& response) {
  const auto it = announced_.find(key);
  if (it == announced_.end()) return;
  Announced& a = it->second;
  const Nanos now = node_.clock.Monotonic();
  a.registered = response && response->status == 200;
  if (a.registered) {
    const Nanos lease = LeaseOf(response->body);
    if (options_.renew == 0 && lease > 0) renew_every_ = std::max(lease / 3, kShortestRenewal);
    a.failures = 0;
    a.refused = false;
    a.service.replaced = false;
    if (a.service.claim.id != 0 && !std::exchange(a.service.claim.held, true)) {
      if (options_.on_granted) options_.on_granted();
    }
    // Spread over the last fifth, so that a deployment that started at once does not stay in step.
    const auto spread = static_cast<std::uint64_t>(renew_every_ / 5);
    a.due = now + renew_every_ - static_cast<Nanos>(node_.rng.Below(spread + 1));
    return;
  }
  if (LearnRegistry(response)) {
    a.due = now;
    return;
  }
  // So that a registry that restarts, and knows nothing of it, does not take us for the later one.
  if (response && response->status == 410) a.service.replaced = true;
  if (response && !a.refused) {
    a.refused = true;
    node_.log.Error("the registry refuses {} at {}: {} {}", key.ToString(),
                    a.service.endpoint.ToString(), response->status, response->body);
  }
  a.due = now + Backoff(a.failures++);
  const bool disowned =
      response && response->status == 409 && response->body.find("\"store_") != std::string::npos;
  if (disowned && options_.on_disowned) options_.on_disowned(response->body);
}

void RegistryClient::Withdraw(std::function<void()> done) {
  withdrawing_ = true;
  withdrawn_ = std::move(done);
  node_.loop.Cancel(renew_timer_);
  for (const auto& [key, a] : announced_) to_remove_.push_back(key);
  // A connection of its own: the answer to what is under way is nobody's concern any more.
  renewer_ = net::HttpClient::Create(node_, options_.registry);
  withdraw_timer_ =
      node_.loop.After(to_remove_.empty() ? 0 : options_.withdraw, [this] { Left(); });
  NextRemoval();
}

void RegistryClient::NextRemoval() {
  if (to_remove_.empty()) return;
  const Announced& a = announced_.at(to_remove_.front());
  const std::string target =
      fmt::format("{}?incarnation={}", PathOf(to_remove_.front()), a.service.incarnation);
  renewer_->Request("DELETE", target, {}, ProofOf("DELETE", target, {}), options_.withdraw,
                    [this](const Result<net::HttpResponse, NetError>& response) {
                      if (LearnRegistry(response)) return NextRemoval();
                      if (!to_remove_.empty()) to_remove_.pop_front();
                      // Without a registry the leases run out by themselves.
                      if (!response || to_remove_.empty()) return Left();
                      NextRemoval();
                    });
}

void RegistryClient::Left() {
  node_.loop.Cancel(withdraw_timer_);
  to_remove_.clear();
  announced_.clear();
  if (withdrawn_) std::exchange(withdrawn_, nullptr)();
}

// ---------------------------------------------------------------- everybody else's

void RegistryClient::Listen(std::function<void()> on_change) {
  listeners_.push_back(std::move(on_change));
  if (!services_.empty()) listeners_.back()();
}

void RegistryClient::ListenTable(std::function<void(const placement::PlacementTable&)> on_change) {
  table_listeners_.push_back(std::move(on_change));
  if (table_) table_listeners_.back()(*table_);
}

void RegistryClient::WatchSoon(Nanos delay) {
  watch_timer_ = node_.loop.After(delay, [this] { Watch(); });
}

void RegistryClient::Watch() {
  const std::string target = fmt::format("/v1/watch?after={}&registry={}&timeout={}ms", revision_,
                                         registry_, options_.watch / kMillisecond);
  watcher_->Request(
      "GET", target, {}, {}, options_.watch + kPatience,
      [this](const Result<net::HttpResponse, NetError>& response) { Received(response); });
}

void RegistryClient::Received(const Result<net::HttpResponse, NetError>& response) {
  if (!response || response->status != 200) return WatchSoon(Backoff(watch_failures_++));
  auto listing = ListingFromJson(response->body);
  if (!listing) {
    node_.log.Error("the registry's answer cannot be read: {}", listing.error());
    revision_ = 0;
    return WatchSoon(Backoff(watch_failures_++));
  }
  watch_failures_ = 0;
  const bool restarted = registry_ != 0 && listing->registry != registry_;
  const std::uint64_t version = listing->placement_version;
  const bool changed = Adopt(*listing);
  if (restarted) RenewNow();  // it does not know us: do not wait for the next renewal
  if (version > (table_ ? table_->version() : 0)) {
    FetchTable();
  } else {
    WatchSoon(kBetweenWatches);
  }
  if (!changed) return;
  for (const auto& listener : listeners_) listener();
}

// Takes over what the registry says; true if services_ is another afterwards.
bool RegistryClient::Adopt(Listing& listing) {
  registry_ = listing.registry;
  revision_ = listing.revision;
  if (listing.full && listing.settled) known_.clear();
  for (const ServiceKey& key : listing.removed) known_.erase(key);
  for (Service& service : listing.services) {
    ServiceKey key = service.key();
    known_[std::move(key)] = std::move(service);
  }
  if (listing.full) unsettled_ = !listing.settled;
  if (unsettled_ && listing.settled) revision_ = 0;  // ask for everything once more
  std::vector<Service> services;
  services.reserve(known_.size());
  for (const auto& [key, service] : known_) {
    if (Known(service)) services.push_back(service);
  }
  if (services == services_) return false;
  services_ = std::move(services);
  return true;
}

// Whether a service may be told to those who dial.
bool RegistryClient::Known(const Service& service) {
  if (options_.member.secret.empty() || !options_.only_members) return true;
  if (!IsDialled(service.role)) return true;
  if (ServiceProved(options_.member, service)) return true;
  if (strangers_.size() < kMostStrangers && strangers_.insert(service.key()).second) {
    node_.log.Warn(
        "the registry lists {} at {}, which has not proved to belong to this "
        "deployment: nothing connects to it",
        service.key().ToString(), service.endpoint.ToString());
  }
  return false;
}

void RegistryClient::FetchTable() {
  watcher_->Request(
      "GET", "/v1/placement?format=binary", {}, {}, options_.timeout,
      [this](const Result<net::HttpResponse, NetError>& response) {
        if (!response || response->status != 200) {
          revision_ = 0;  // hear of the version again
          return WatchSoon(Backoff(watch_failures_++));
        }
        const auto table = placement::PlacementTable::Decode(response->body);
        WatchSoon(kBetweenWatches);
        if (!table) return node_.log.Error("{}", placement::Message(table.error()));
        if (table_ ? !table_->Merge(*table) : false) {
          return node_.log.Error("the registry's placement table contradicts what it said before");
        }
        if (!table_) table_ = *table;
        for (const auto& listener : table_listeners_) listener(*table_);
      });
}

}  // namespace baiwan::registry
