#include "stress/gateway_address.h"

namespace baiwan::stress {

std::optional<Endpoint> EndpointOfUrl(std::string_view url) {
  for (const std::string_view scheme : {"http://", "ws://"}) {
    if (url.substr(0, scheme.size()) != scheme) continue;
    url.remove_prefix(scheme.size());
    const auto endpoint = ParseEndpoint(url.substr(0, url.find_first_of("/?#")));
    if (endpoint) return *endpoint;
    return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace baiwan::stress
