#include "registry/registry.h"

#include <algorithm>

namespace baiwan::registry {
namespace {

constexpr std::size_t kMaxName = 64;
constexpr std::size_t kProofDigits = 64;
constexpr std::size_t kMaxMeta = 16;
constexpr std::size_t kMaxMetaValue = 256;

// Without the locale's opinion.
bool IsAlnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return IsAlnum(c) || c == '-' || c == '.' || c == '_'; });
}

bool IsHost(const std::string& host) {
  return FormOf(host) != HostForm::kNone && !IsEveryAddress(host);
}

bool IsProof(std::string_view proof) {
  return proof.empty() || (proof.size() == kProofDigits &&
                           proof.find_first_not_of("0123456789abcdef") == std::string_view::npos);
}

bool IsMeta(const std::map<std::string, std::string>& meta) {
  return meta.size() <= kMaxMeta && std::all_of(meta.begin(), meta.end(), [](const auto& entry) {
           const auto& value = entry.second;
           return IsName(entry.first) && value.size() <= kMaxMetaValue &&
                  std::all_of(value.begin(), value.end(),
                              [](char c) { return c >= ' ' && c <= '~'; });
         });
}

}  // namespace

const char* Message(RegisterError error) {
  switch (error) {
    case RegisterError::kNone:
      return "registered";
    case RegisterError::kBadRole:
      return "no such role";
    case RegisterError::kBadName:
      return "a name has 1 to 64 letters, digits, '-', '.' or '_'";
    case RegisterError::kBadCell:
      return "a cell is a number below 1024";
    case RegisterError::kBadEndpoint:
      return "host (an address or name that others can connect to) and port (1 to 65535) are "
             "needed";
    case RegisterError::kBadMeta:
      return "meta has at most 16 texts of up to 256 printable ASCII characters, under proper "
             "names; a proof has 64 hexadecimal digits";
    case RegisterError::kUnproved:
      return "a service that has proved to belong to the deployment has this name or address";
    case RegisterError::kTaken:
      return "another service holds this host and port";
    case RegisterError::kReplaced:
      return "a later process of this name is registered";
    case RegisterError::kFull:
      return "the registry holds as many services as it may";
    case RegisterError::kStoreCopy:
      return Message(ClaimError::kCopy);
    case RegisterError::kStoreServed:
      return Message(ClaimError::kServed);
    case RegisterError::kStoreReplaced:
      return Message(ClaimError::kReplaced);
  }
  return "unknown";
}

const char* Message(MoveError error) {
  switch (error) {
    case MoveError::kNone:
      return "may be moved";
    case MoveError::kSettling:
      return "the registry has just started and does not know yet who lives";
    case MoveError::kBadPartition:
      return "there is no such partition";
    case MoveError::kBadCell:
      return "there is no such cell";
    case MoveError::kOwnedAlready:
      return "that cell owns it already";
  }
  return "unknown";
}

RegisterError Check(const Service& s) {
  if (!IsRole(s.role)) return RegisterError::kBadRole;
  if (!IsName(s.name)) return RegisterError::kBadName;
  if (s.cell >= kMaxCells) return RegisterError::kBadCell;
  if (s.endpoint.port == 0 || !IsHost(s.endpoint.host)) return RegisterError::kBadEndpoint;
  if (!IsMeta(s.meta) || !IsProof(s.proof)) return RegisterError::kBadMeta;
  return RegisterError::kNone;
}

Registry::Registry(const RegistryOptions& options, placement::PlacementTable table, Nanos now)
    : options_(options), started_(now), table_(std::move(table)) {}

Registry::Address Registry::AddressOf(const Endpoint& endpoint) {
  return {endpoint.host == "localhost" ? "127.0.0.1" : endpoint.host, endpoint.port};
}

// In the tables of leases, addresses and places, and later of removals.
std::size_t Registry::BytesOf(const Service& s) {
  std::size_t bytes = 1024 + 4 * s.name.size() + 2 * s.endpoint.host.size() + s.proof.size();
  for (const auto& [key, value] : s.meta) bytes += 128 + key.size() + value.size();
  return bytes;
}

RegisterError Registry::Claim(CellId cell, const StoreClaim& claim, Nanos now) {
  if (cell >= kMaxCells) return RegisterError::kBadCell;
  Expire(now);
  switch (claims_.Claim(cell, claim, now, settled_, options_.lease)) {
    case ClaimError::kNone:
      return RegisterError::kNone;
    case ClaimError::kCopy:
      return RegisterError::kStoreCopy;
    case ClaimError::kServed:
      return RegisterError::kStoreServed;
    case ClaimError::kReplaced:
      return RegisterError::kStoreReplaced;
  }
  return RegisterError::kStoreCopy;
}

RegisterError Registry::Register(const Service& told, Nanos now, bool proved) {
  if (const auto error = Check(told); error != RegisterError::kNone) return error;
  Expire(now);
  if (told.claim.id != 0) {
    const auto error = Claim(told.cell, told.claim, now);
    if (error != RegisterError::kNone) return error;
  }
  Service s = told;
  s.claim = {.life = told.claim.life, .id = told.claim.id};  // what others may know of it
  s.replaced = false;
  const ServiceKey key = s.key();
  const auto holder = holders_.find(AddressOf(s.endpoint));
  if (holder != holders_.end() && holder->second != key) {
    if (!proved || leases_.at(holder->second).proved) return RegisterError::kTaken;
    Remove(ServiceKey(holder->second));
  }
  const auto known = leases_.find(key);
  if (known != leases_.end() && known->second.proved && !proved) return RegisterError::kUnproved;
  if (known == leases_.end() && leases_.size() >= options_.max_services) {
    return RegisterError::kFull;
  }
  if (known == leases_.end() && told.replaced && !settled_) return RegisterError::kReplaced;
  std::deque<Incarnation> replaced;
  if (known != leases_.end()) {
    Lease& lease = known->second;
    if (lease.Replaced(told) && (lease.proved || !proved)) return RegisterError::kReplaced;
    if (lease.service == s) {
      lease.renewed = now;
      lease.proved |= proved;
      Touch(key);
      return RegisterError::kNone;
    }
    holders_.erase(AddressOf(lease.service.endpoint));
    bytes_ -= BytesOf(lease.service);
    replaced = std::move(lease.replaced);
    std::erase(replaced, s.incarnation);
    if (lease.service.incarnation != s.incarnation) {
      replaced.push_back(lease.service.incarnation);
      if (replaced.size() > options_.max_replaced) replaced.pop_front();
    }
  }
  leases_[key] = {s, now, now, ++revision_, proved, std::move(replaced)};
  holders_[AddressOf(s.endpoint)] = key;
  bytes_ += BytesOf(s);
  Touch(key);
  return RegisterError::kNone;
}

bool Registry::Lease::Replaced(const Service& s) const {
  if (s.incarnation == 0 || s.incarnation == service.incarnation) return false;
  return s.replaced || std::find(replaced.begin(), replaced.end(), s.incarnation) != replaced.end();
}

bool Registry::Deregister(const ServiceKey& key, Incarnation incarnation, Nanos now) {
  Expire(now);
  const auto it = leases_.find(key);
  if (it == leases_.end()) return false;
  if (incarnation != 0 && it->second.service.incarnation != incarnation) return false;
  claims_.Leave(key.cell, it->second.service.claim.id);
  Remove(key);
  return true;
}

void Registry::Expire(Nanos now) {
  if (!settled_ && now - started_ >= options_.lease) {
    settled_ = true;
    ++revision_;
  }
  while (!order_.empty() && now - leases_.at(order_.front()).renewed >= options_.lease) {
    Remove(ServiceKey(order_.front()));
  }
}

void Registry::Touch(const ServiceKey& key) {
  const auto [it, is_new] = places_.try_emplace(key);
  if (is_new) {
    it->second = order_.insert(order_.end(), key);
  } else {
    order_.splice(order_.end(), order_, it->second);
  }
}

void Registry::Remove(const ServiceKey& key) {
  const auto place = places_.find(key);
  order_.erase(place->second);
  places_.erase(place);
  const auto lease = leases_.find(key);
  holders_.erase(AddressOf(lease->second.service.endpoint));
  bytes_ -= BytesOf(lease->second.service);
  leases_.erase(lease);
  removals_.push_back({++revision_, key});
  if (removals_.size() > options_.max_history) {
    forgotten_ = removals_.front().revision;
    removals_.pop_front();
  }
}

std::vector<Service> Registry::List() const {
  std::vector<Service> list;
  list.reserve(leases_.size());
  for (const auto& [key, lease] : leases_) list.push_back(lease.service);
  return list;
}

const Registry::Lease* Registry::HolderOf(const Endpoint& endpoint) const {
  const auto it = holders_.find(AddressOf(endpoint));
  return it == holders_.end() ? nullptr : &leases_.at(it->second);
}

Registry::Changes Registry::Since(std::uint64_t after) const {
  Changes changes;
  changes.full = after == 0 || after < forgotten_ || after > revision_;
  for (const auto& [key, lease] : leases_) {
    if (changes.full || lease.changed > after) changes.services.push_back(&lease);
  }
  if (changes.full) return changes;
  const auto first = std::upper_bound(
      removals_.begin(), removals_.end(), after,
      [](std::uint64_t revision, const Removal& r) { return revision < r.revision; });
  for (auto it = first; it != removals_.end(); ++it) changes.removed.push_back(it->key);
  return changes;
}

MoveError Registry::CheckMove(PartitionId partition, CellId to) const {
  if (!settled_) return MoveError::kSettling;
  if (partition >= table_.partitions()) return MoveError::kBadPartition;
  if (to >= table_.cells()) return MoveError::kBadCell;
  if (table_.OwnerOf(partition) == to) return MoveError::kOwnedAlready;
  return MoveError::kNone;
}

bool Registry::Adopt(const placement::PlacementTable& newer) {
  if (!table_.Merge(newer)) return false;
  ++revision_;
  return true;
}

}  // namespace baiwan::registry
