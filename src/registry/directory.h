// Who is where: what a role knows of the other services of its deployment.
//
// Roles depend on this, not on the registry: a test or the simulator can give them a fixed list.
// Threads: one loop; listeners are called on it.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/ids.h"
#include "base/rng.h"
#include "base/transport.h"
#include "registry/claims.h"

namespace baiwan::registry {

// The roles that can register, by the names used here.
inline constexpr const char* kRoles[] = {"gateway", "logic",   "relay", "cache",
                                         "store",   "monitor", "load"};
bool IsRole(std::string_view role);

// Who somebody is, whatever process is it at the moment.
struct ServiceKey {
  std::string role;
  CellId cell = 0;
  std::string name;  // of the process; unique within role and cell

  bool operator==(const ServiceKey&) const = default;
  bool operator<(const ServiceKey& other) const {
    return std::tie(role, cell, name) < std::tie(other.role, other.cell, other.name);
  }
  std::string ToString() const;  // "gateway gw-0 of cell 0"
};

// A number that nobody else has. It stays exact in every JSON reader, JavaScript's too: 53 bits.
// Never 0.
inline std::uint64_t NewId(Rng& rng) { return (rng.Next() >> 11) | 1; }

struct Service {
  std::string role;
  std::string name;
  CellId cell = 0;
  Endpoint endpoint;           // where the role is served
  std::uint16_t ops_port = 0;  // of /metrics and the like on the same host; 0: at `endpoint`
  // Of this start of the process, chosen at random (NewId); 0: not told. Says nothing of the order
  // of starts: no clock is asked, and a store that was put back counts anew.
  Incarnation incarnation = 0;
  std::map<std::string, std::string> meta;  // whatever else others should know
  StoreClaim claim;       // of a process with a logic server: which store it serves
  std::string proof;      // that it belongs to the deployment, see proof.h; empty: none
  bool replaced = false;  // it was told that a later process has its name; never listed

  bool operator==(const Service&) const = default;
  ServiceKey key() const { return {role, cell, name}; }
  Endpoint ops() const { return {endpoint.host, ops_port != 0 ? ops_port : endpoint.port}; }
};

class Directory {
 public:
  virtual ~Directory() = default;
  // In the order of role, cell, name.
  virtual const std::vector<Service>& services() const = 0;
  // Called after every change of services(), and once at once if there are any.
  virtual void Listen(std::function<void()> on_change) = 0;

  // The first service of this role and cell; null if none is known.
  const Service* Find(std::string_view role, CellId cell) const;
  // The endpoint of each cell's first service of this role.
  std::map<CellId, Endpoint> ByCell(std::string_view role) const;
};

class StaticDirectory final : public Directory {
 public:
  explicit StaticDirectory(std::vector<Service> services = {}) : services_(std::move(services)) {}
  const std::vector<Service>& services() const override { return services_; }
  void Listen(std::function<void()> on_change) override;
  void Set(std::vector<Service> services);

 private:
  std::vector<Service> services_;
  std::vector<std::function<void()>> listeners_;
};

}  // namespace baiwan::registry
