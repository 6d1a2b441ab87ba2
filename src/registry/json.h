// Services as JSON: on the wire between registry and clients, and as the source's list.
//
// Pure. Failure: what comes in may be anything; a Result or false says why it was refused.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "registry/directory.h"
#include "registry/registry.h"

namespace baiwan::registry {

// What a watcher is told.
struct Listing {
  std::uint64_t registry = 0;  // which start of the registry; revisions of two have no relation
  std::uint64_t revision = 0;
  bool settled = false;
  std::uint64_t placement_version = 0;
  bool full = true;  // `services` are all there are; else: forget `removed`, then take `services`
  std::vector<Service> services;
  std::vector<ServiceKey> removed;
};
// {"registry","revision","settled","placement_version","full","services":[{"role","name","cell",
// "host","port","ops_port","incarnation","meta":{…}}…],"removed":[{"role","name","cell"}…]}
std::string ChangesToJson(const Registry& registry, std::uint64_t id, std::uint64_t after);
Result<Listing, std::string> ListingFromJson(std::string_view json);

// For people and tools: the same head, and each service with "age_ms" (since this incarnation came)
// and "lease_left_ms".
std::string LeasesToJson(const Registry& registry, std::uint64_t id,
                         const std::vector<const Registry::Lease*>& leases, Nanos now);

// {"host","port","ops_port","incarnation","meta"} of the body of a registration; role, cell and
// name come from the path. With "claim", as ReadClaim takes it, of a process that serves a store.
std::string BodyOf(const Service& service);
// Why not, or nothing.
std::optional<std::string> ReadBody(std::string_view json, Service* service);

// {"life","incarnation","id","after","held"}: whole numbers, the first three not 0, and a flag.
std::string ClaimToJson(const StoreClaim& claim);
std::optional<std::string> ReadClaim(std::string_view json, StoreClaim* claim);

std::string ErrorToJson(std::string_view error, std::string_view message);

// The source's GET /server: a list of {"name","srvtype","host","port","rg","cellid"}; the last
// three are numbers there.
std::string SourceList(const std::map<ServiceKey, Registry::Lease>& leases);
// The source's name of a role ("gw") and back; empty if there is none.
std::string_view SourceTypeOf(std::string_view role);
std::string_view RoleOf(std::string_view source_type);
// Meta entries in which a registration by the source's interface keeps what roles do not tell.
inline constexpr const char* kMetaType = "srvtype";  // "memcached"; absent: SourceTypeOf(role)
inline constexpr const char* kMetaCellId = "cellid";

}  // namespace baiwan::registry
