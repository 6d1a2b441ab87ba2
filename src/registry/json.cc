#include "registry/json.h"

#include <array>
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

json ToJson(const Service& s) {
  return {{"role", s.role},
          {"name", s.name},
          {"cell", s.cell},
          {"host", s.endpoint.host},
          {"port", s.endpoint.port},
          {"ops_port", s.ops_port},
          {"incarnation", s.incarnation}};
}

bool Port(const json& object, const char* name, std::uint16_t* out) {
  const auto it = object.find(name);
  if (it == object.end()) return true;
  if (!it->is_number_unsigned() || it->get<std::uint64_t>() > 65535) return false;
  *out = it->get<std::uint16_t>();
  return true;
}

bool FromJson(const json& object, Service* s) {
  if (!object.is_object()) return false;
  s->role = object.value("role", "");
  s->name = object.value("name", "");
  s->cell = object.value("cell", 0U);
  s->endpoint.host = object.value("host", "");
  s->incarnation = object.value("incarnation", std::uint64_t{0});
  return Port(object, "port", &s->endpoint.port) && Port(object, "ops_port", &s->ops_port);
}

}  // namespace

std::string ListToJson(std::uint64_t revision, const std::vector<Service>& services) {
  json list = json::array();
  for (const Service& s : services) list.push_back(ToJson(s));
  return json{{"revision", revision}, {"services", std::move(list)}}.dump() + "\n";
}

Result<Listing, std::string> ListFromJson(std::string_view text) {
  const json parsed = json::parse(text, nullptr, false);
  Listing listing;
  try {
    listing.revision = parsed.at("revision").get<std::uint64_t>();
    for (const json& object : parsed.at("services")) {
      if (!FromJson(object, &listing.services.emplace_back())) {
        return std::string("a service is malformed");
      }
    }
  } catch (const json::exception& error) {
    return std::string(error.what());
  }
  return listing;
}

std::string BodyOf(const Service& s) { return ToJson(s).dump(); }

bool ReadBody(std::string_view text, Service* service, std::string* why) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) {
    *why = "the body is not a JSON object";
    return false;
  }
  const auto host = object.find("host");
  if (host == object.end() || !host->is_string()) {
    *why = "host is missing";
    return false;
  }
  service->endpoint.host = host->get<std::string>();
  if (!Port(object, "port", &service->endpoint.port) ||
      !Port(object, "ops_port", &service->ops_port)) {
    *why = "ports are numbers from 1 to 65535";
    return false;
  }
  const auto incarnation = object.find("incarnation");
  if (incarnation != object.end()) {
    if (!incarnation->is_number_unsigned()) {
      *why = "incarnation is a whole number";
      return false;
    }
    service->incarnation = incarnation->get<std::uint64_t>();
  }
  return true;
}

std::string SourceList(const std::vector<Service>& services) {
  json list = json::array();
  for (const Service& s : services) {
    const std::string_view type = SourceTypeOf(s.role);
    if (type.empty()) continue;
    list.push_back({{"name", s.name},
                    {"srvtype", type},
                    {"host", s.endpoint.host},
                    {"port", std::to_string(s.endpoint.port)},
                    {"rg", std::to_string(s.cell)},
                    {"cellid", std::to_string(s.cell)}});
  }
  return list.dump() + "\n";
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
