#include "registry/json.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

namespace baiwan::registry {
namespace {

using nlohmann::json;

constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kTypes = {{
    {"gateway", "gw"},
    {"logic", "localposter"},
    {"relay", "poster"},
    {"cache", "cache"},
    {"store", "redis"},
    {"store", "memcached"},
}};

// Nothing that comes in unchecked is ever written, but a writer that could throw is not worth
// having.
std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

json ToJson(const StoreClaim& claim) {
  json object = {{"life", claim.life}, {"id", claim.id}};
  if (claim.incarnation == 0) return object;  // of a list
  object["incarnation"] = claim.incarnation;
  object["after"] = claim.after;
  object["held"] = claim.held;
  return object;
}

json ToJson(const Service& s) {
  json object = {{"role", s.role},
                 {"name", s.name},
                 {"cell", s.cell},
                 {"host", s.endpoint.host},
                 {"port", s.endpoint.port},
                 {"ops_port", s.ops_port},
                 {"incarnation", s.incarnation}};
  if (!s.meta.empty()) object["meta"] = s.meta;
  if (s.claim.id != 0) object["claim"] = ToJson(s.claim);
  if (!s.proof.empty()) object["proof"] = s.proof;
  return object;
}

json Head(const Registry& registry, std::uint64_t id) {
  return {{"registry", id},
          {"revision", registry.revision()},
          {"settled", registry.settled()},
          {"placement_version", registry.table().version()}};
}

// Each takes a field if it is there; false if it is of another type or out of range.
bool Text(const json& object, const char* name, std::string* out) {
  const auto it = object.find(name);
  if (it == object.end()) return true;
  if (!it->is_string()) return false;
  *out = it->get_ref<const std::string&>();
  return true;
}

template <class T>
bool Number(const json& object, const char* name, T* out) {
  const auto it = object.find(name);
  if (it == object.end()) return true;
  if (!it->is_number_unsigned()) return false;
  const auto value = it->get<std::uint64_t>();
  *out = static_cast<T>(value);
  return *out == value;
}

bool Flag(const json& object, const char* name, bool* out) {
  const auto it = object.find(name);
  if (it == object.end()) return true;
  if (!it->is_boolean()) return false;
  *out = it->get<bool>();
  return true;
}

bool Meta(const json& object, std::map<std::string, std::string>* out) {
  const auto it = object.find("meta");
  if (it == object.end()) return true;
  if (!it->is_object()) return false;
  for (const auto& [name, value] : it->items()) {
    if (!value.is_string()) return false;
    (*out)[name] = value.get_ref<const std::string&>();
  }
  return true;
}

bool TakeClaim(const json& object, StoreClaim* claim) {
  return object.is_object() && Number(object, "life", &claim->life) &&
         Number(object, "incarnation", &claim->incarnation) && Number(object, "id", &claim->id) &&
         Number(object, "after", &claim->after) && Flag(object, "held", &claim->held);
}

bool ClaimIn(const json& object, StoreClaim* claim) {
  const auto it = object.find("claim");
  return it == object.end() || TakeClaim(*it, claim);
}

bool ReadKey(const json& object, ServiceKey* key) {
  return object.is_object() && Text(object, "role", &key->role) &&
         Text(object, "name", &key->name) && Number(object, "cell", &key->cell);
}

bool ReadService(const json& object, Service* s) {
  ServiceKey key;
  if (!ReadKey(object, &key)) return false;
  s->role = std::move(key.role);
  s->name = std::move(key.name);
  s->cell = key.cell;
  return Text(object, "host", &s->endpoint.host) && Number(object, "port", &s->endpoint.port) &&
         Number(object, "ops_port", &s->ops_port) &&
         Number(object, "incarnation", &s->incarnation) && Meta(object, &s->meta) &&
         ClaimIn(object, &s->claim) && Text(object, "proof", &s->proof) &&
         Check(*s) == RegisterError::kNone;
}

json Parse(std::string_view text) { return json::parse(text, nullptr, false); }

}  // namespace

std::string ChangesToJson(const Registry& registry, std::uint64_t id, std::uint64_t after) {
  const Registry::Changes changes = registry.Since(after);
  json services = json::array();
  for (const Registry::Lease* lease : changes.services) services.push_back(ToJson(lease->service));
  json removed = json::array();
  for (const ServiceKey& key : changes.removed) {
    removed.push_back({{"role", key.role}, {"name", key.name}, {"cell", key.cell}});
  }
  json object = Head(registry, id);
  object["full"] = changes.full;
  object["services"] = std::move(services);
  object["removed"] = std::move(removed);
  return Dump(object);
}

Result<Listing, std::string> ListingFromJson(std::string_view text) {
  const json object = Parse(text);
  Listing listing;
  if (!object.is_object() || !Number(object, "registry", &listing.registry) ||
      !Number(object, "revision", &listing.revision) ||
      !Flag(object, "settled", &listing.settled) || !Flag(object, "full", &listing.full) ||
      !Number(object, "placement_version", &listing.placement_version)) {
    return std::string("not a list of services");
  }
  const auto services = object.find("services");
  const auto removed = object.find("removed");
  if (services == object.end() || !services->is_array()) return std::string("no services in it");
  for (const json& entry : *services) {
    if (!ReadService(entry, &listing.services.emplace_back())) {
      return std::string("a malformed service in it");
    }
  }
  if (removed == object.end()) return listing;
  if (!removed->is_array()) return std::string("malformed removals in it");
  for (const json& entry : *removed) {
    if (!ReadKey(entry, &listing.removed.emplace_back())) {
      return std::string("a malformed removal in it");
    }
  }
  return listing;
}

std::string LeasesToJson(const Registry& registry, std::uint64_t id,
                         const std::vector<const Registry::Lease*>& leases, Nanos now) {
  json services = json::array();
  for (const Registry::Lease* lease : leases) {
    json service = ToJson(lease->service);
    service["age_ms"] = (now - lease->registered) / kMillisecond;
    service["lease_left_ms"] = (lease->renewed + registry.lease() - now) / kMillisecond;
    services.push_back(std::move(service));
  }
  json object = Head(registry, id);
  object["services"] = std::move(services);
  return Dump(object);
}

std::string ClaimToJson(const StoreClaim& claim) { return Dump(ToJson(claim)); }

std::optional<std::string> ReadClaim(std::string_view text, StoreClaim* claim) {
  const json object = Parse(text);
  if (!TakeClaim(object, claim) || claim->life == 0 || claim->incarnation == 0 || claim->id == 0) {
    return "a claim is an object of life, incarnation and id, whole numbers from 1 on; after, a "
           "whole number; and held, true or false";
  }
  return std::nullopt;
}

std::string BodyOf(const Service& s) {
  json object = ToJson(s);
  if (s.replaced) object["replaced"] = true;
  return Dump(object);
}

std::optional<std::string> ReadBody(std::string_view text, Service* service) {
  const json object = Parse(text);
  if (!object.is_object()) return "the body is not a JSON object";
  if (object.find("host") == object.end() || !Text(object, "host", &service->endpoint.host)) {
    return "host, a text, is missing";
  }
  if (object.find("port") == object.end() || !Number(object, "port", &service->endpoint.port) ||
      !Number(object, "ops_port", &service->ops_port)) {
    return "port, a number from 1 to 65535, is missing; ops_port may be one";
  }
  if (!Number(object, "incarnation", &service->incarnation)) {
    return "incarnation is a whole number";
  }
  if (!Flag(object, "replaced", &service->replaced)) return "replaced is true or false";
  if (!Meta(object, &service->meta)) return "meta is an object of texts";
  if (!Text(object, "proof", &service->proof)) return "proof is a text";
  const auto claim = object.find("claim");
  if (claim != object.end()) return ReadClaim(claim->dump(), &service->claim);
  return std::nullopt;
}

std::string ErrorToJson(std::string_view error, std::string_view message) {
  return Dump({{"error", error}, {"message", message}});
}

std::string SourceList(const std::map<ServiceKey, Registry::Lease>& leases) {
  json list = json::array();
  for (const auto& [key, lease] : leases) {
    const Service& s = lease.service;
    const auto type = s.meta.find(kMetaType);
    const std::string_view name = type != s.meta.end() ? type->second : SourceTypeOf(s.role);
    if (name.empty()) continue;
    std::uint64_t cell_id = s.cell;
    const auto told = s.meta.find(kMetaCellId);
    if (told != s.meta.end()) {
      const std::string& digits = told->second;
      std::from_chars(digits.data(), digits.data() + digits.size(), cell_id);
    }
    list.push_back({{"name", s.name},
                    {"srvtype", name},
                    {"host", s.endpoint.host},
                    {"port", s.endpoint.port},
                    {"rg", s.cell},
                    {"cellid", cell_id}});
  }
  return Dump(list);
}

std::string_view SourceTypeOf(std::string_view role) {
  for (const auto& [r, type] : kTypes) {
    if (r == role) return type;
  }
  return {};
}

std::string_view RoleOf(std::string_view source_type) {
  for (const auto& [role, type] : kTypes) {
    if (type == source_type) return role;
  }
  return {};
}

}  // namespace baiwan::registry
