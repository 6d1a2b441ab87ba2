// The registry: who is where, kept alive by leases, and which cell owns which partition.
//
// A service registers under role, cell and name, and repeats that to renew its lease. The same name
// coming back, from a new process perhaps at a new address, replaces its own lease; a *different*
// identity that claims a host and port under lease is refused. What is not renewed is gone after
// `lease`. Leases say who can be reached, never who owns what: ownership stays where the placement
// table puts it, and nothing changes it for one lease time after a registry has started.
//
// Pure: time comes in. Bounds: `max_services`; names up to 64 bytes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "registry/directory.h"

namespace baiwan::registry {

struct RegistryOptions {
  Nanos lease = 10 * kSecond;
  std::size_t max_services = 10'000;
};

enum class RegisterError : std::uint8_t {
  kNone = 0,
  kBadRole,
  kBadName,  // empty, longer than 64 bytes, or not of letters, digits and "-._"
  kBadCell,
  kBadEndpoint,
  kTaken,  // that host and port belong to somebody else
  kFull,
};
const char* Message(RegisterError error);

class Registry {
 public:
  explicit Registry(const RegistryOptions& options = {}) : options_(options) {}

  // Registers or renews.
  RegisterError Register(const Service& service, Nanos now);
  // True if it was there.
  bool Deregister(std::string_view role, CellId cell, std::string_view name, Nanos now);
  // Forgets what was not renewed in time.
  void Expire(Nanos now);

  std::vector<Service> List() const;
  Nanos Age(const Service& service, Nanos now) const;  // since it was last renewed
  // Rises with every change of List().
  std::uint64_t revision() const { return revision_; }

 private:
  using Key = std::tuple<std::string, CellId, std::string>;
  struct Lease {
    Service service;
    Nanos renewed = 0;
  };
  static Key KeyOf(const Service& s) { return {s.role, s.cell, s.name}; }

  const RegistryOptions options_;
  std::map<Key, Lease> leases_;
  std::map<std::pair<std::string, std::uint16_t>, Key> holders_;  // of host and port
  std::uint64_t revision_ = 1;
};

}  // namespace baiwan::registry
