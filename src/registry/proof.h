// What shows that somebody who registers belongs to the deployment: he knows the link secret.
//
// Two proofs, for two readers. A *request* that changes something is proved to the registry, bound
// to this start of the registry and to all of the request; nobody else sees it. A *service* carries
// a proof of its own in the list, so that whoever dials checks for himself that the address is of
// his deployment: a registry that was deceived, or that has no secret, cannot send him elsewhere.
//
// Pure. Failure: false.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "registry/directory.h"

namespace baiwan::registry {

struct Membership {
  std::string secret;  // of the links; empty: nothing is proved and nothing is checked
  std::string deployment;
};

// The header that proves a request.
inline constexpr const char* kProofHeader = "Baiwan-Proof";

// `registry`: the number of its start, that it tells in its answers.
std::string ProveRequest(const Membership& member, std::uint64_t registry, std::string_view method,
                         std::string_view target, std::string_view body);
bool RequestProved(const Membership& member, std::uint64_t registry, std::string_view method,
                   std::string_view target, std::string_view body, std::string_view proof);

// Over deployment, role, cell, name, address, ports and incarnation.
std::string ProveService(const Membership& member, const Service& service);
bool ServiceProved(const Membership& member, const Service& service);
// Whether processes of the deployment connect to services of this role.
bool IsDialled(std::string_view role);

// The number of its start in a registry's answer that a proof is missing or was for another start;
// 0 if there is none.
std::uint64_t RegistryIn(std::string_view body);

}  // namespace baiwan::registry
