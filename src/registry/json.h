// Services as JSON: on the wire between registry and clients, and as the source's list. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "registry/directory.h"

namespace baiwan::registry {

// {"revision":n,"services":[{role,name,cell,host,port,ops_port,incarnation}…]}
std::string ListToJson(std::uint64_t revision, const std::vector<Service>& services);
struct Listing {
  std::uint64_t revision = 0;
  std::vector<Service> services;
};
Result<Listing, std::string> ListFromJson(std::string_view json);

// {host,port,ops_port,incarnation} of the body of a registration; the rest comes from the path.
std::string BodyOf(const Service& service);
bool ReadBody(std::string_view json, Service* service, std::string* why);

// The source's GET /server: a list of {"name","srvtype","host","port","rg","cellid"}.
std::string SourceList(const std::vector<Service>& services);
// The source's name of a role ("gw") and back; empty if there is none.
std::string_view SourceTypeOf(std::string_view role);
std::string_view RoleOf(std::string_view source_type);

}  // namespace baiwan::registry
