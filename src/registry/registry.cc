#include "registry/registry.h"

#include <algorithm>

namespace baiwan::registry {
namespace {

constexpr std::size_t kMaxName = 64;

bool GoodName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_';
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
      return "host and port (1 to 65535) are needed";
    case RegisterError::kTaken:
      return "another service holds this host and port";
    case RegisterError::kFull:
      return "the registry holds as many services as it may";
  }
  return "unknown";
}

RegisterError Registry::Register(const Service& s, Nanos now) {
  if (!IsRole(s.role)) return RegisterError::kBadRole;
  if (!GoodName(s.name)) return RegisterError::kBadName;
  if (s.cell >= kMaxCells) return RegisterError::kBadCell;
  if (s.endpoint.port == 0 || s.endpoint.host.empty() || s.endpoint.host.size() > 255) {
    return RegisterError::kBadEndpoint;
  }
  Expire(now);
  const Key key = KeyOf(s);
  const std::pair<std::string, std::uint16_t> address{s.endpoint.host, s.endpoint.port};
  const auto holder = holders_.find(address);
  if (holder != holders_.end() && holder->second != key) return RegisterError::kTaken;
  const auto known = leases_.find(key);
  if (known == leases_.end() && leases_.size() >= options_.max_services) {
    return RegisterError::kFull;
  }
  if (known != leases_.end()) {
    known->second.renewed = now;
    if (known->second.service == s) return RegisterError::kNone;
    const Endpoint& old = known->second.service.endpoint;
    holders_.erase({old.host, old.port});
  }
  leases_[key] = {s, now};
  holders_[address] = key;
  ++revision_;
  return RegisterError::kNone;
}

bool Registry::Deregister(std::string_view role, CellId cell, std::string_view name, Nanos now) {
  Expire(now);
  const auto it = leases_.find({std::string(role), cell, std::string(name)});
  if (it == leases_.end()) return false;
  holders_.erase({it->second.service.endpoint.host, it->second.service.endpoint.port});
  leases_.erase(it);
  ++revision_;
  return true;
}

void Registry::Expire(Nanos now) {
  for (auto it = leases_.begin(); it != leases_.end();) {
    if (now - it->second.renewed < options_.lease) {
      ++it;
      continue;
    }
    holders_.erase({it->second.service.endpoint.host, it->second.service.endpoint.port});
    it = leases_.erase(it);
    ++revision_;
  }
}

std::vector<Service> Registry::List() const {
  std::vector<Service> list;
  list.reserve(leases_.size());
  for (const auto& [key, lease] : leases_) list.push_back(lease.service);
  return list;
}

Nanos Registry::Age(const Service& service, Nanos now) const {
  const auto it = leases_.find(KeyOf(service));
  return it == leases_.end() ? 0 : now - it->second.renewed;
}

}  // namespace baiwan::registry
