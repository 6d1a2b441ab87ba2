// The host that an HTTP request is for, and whether it comes from a page of another site.
//
// Clients do not say yet who they are, so a browser that has some page open would do for that page
// what it may do itself: open a WebSocket, send by an image's address, and, if a name of that
// page's own site is made to lead here (DNS rebinding), read too. Such requests are told by what a
// browser says of itself: Host, Origin and Sec-Fetch-Site.
//
// Pure. Failure: nothing, where a text is no host.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http.h"

namespace baiwan::net {

struct HostAndPort {
  std::string_view host;  // an address without brackets, or a name
  std::optional<std::uint16_t> port;
};

// A Host field, or the authority of a URL (RFC 9110, section 4.2): host, host:port, [v6]:port. No
// user, and nothing that is neither an address nor a name.
std::optional<HostAndPort> ParseHost(std::string_view text);

enum class Foreign : std::uint8_t {
  kNo,
  kHost,  // it is for another host
  kPage,  // it comes from a page of another site
};

// Ours are: loopback and "localhost"; the address at which the request came in, `local`; names
// without a dot, which no site of the internet has; and `names`, names or addresses. A page is
// ours if its host and port are those of Host, or its host is one of `names`.
Foreign IsForeign(const HttpRequest& request, const std::string& local,
                  const std::vector<std::string>& names);

}  // namespace baiwan::net
