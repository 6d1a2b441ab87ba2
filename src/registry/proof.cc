#include "registry/proof.h"

#include <charconv>

#include "net/proof.h"

namespace baiwan::registry {

std::string ProveRequest(const Membership& member, std::uint64_t registry, std::string_view method,
                         std::string_view target, std::string_view body) {
  return net::Prove(member.secret, "baiwan registry request",
                    {std::to_string(registry), method, target, body});
}

bool RequestProved(const Membership& member, std::uint64_t registry, std::string_view method,
                   std::string_view target, std::string_view body, std::string_view proof) {
  return net::SameText(ProveRequest(member, registry, method, target, body), proof);
}

std::string ProveService(const Membership& member, const Service& s) {
  return net::Prove(
      member.secret, "baiwan service",
      {member.deployment, s.role, std::to_string(s.cell), s.name, s.endpoint.host,
       std::to_string(s.endpoint.port), std::to_string(s.ops_port), std::to_string(s.incarnation)});
}

bool ServiceProved(const Membership& member, const Service& service) {
  return net::SameText(ProveService(member, service), service.proof);
}

bool IsDialled(std::string_view role) {
  return role == "gateway" || role == "logic" || role == "relay";
}

std::uint64_t RegistryIn(std::string_view body) {
  constexpr std::string_view kField = "\"registry\":";
  const auto at = body.find(kField);
  std::uint64_t number = 0;
  if (at != std::string_view::npos) {
    std::from_chars(body.data() + at + kField.size(), body.data() + body.size(), number);
  }
  return number;
}

}  // namespace baiwan::registry
