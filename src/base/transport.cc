#include "base/transport.h"

#include <fmt/format.h>

#include <charconv>

namespace baiwan {

const char* Message(NetError error) {
  switch (error) {
    case NetError::kEof:
      return "the other side closed the connection";
    case NetError::kReset:
      return "the connection broke";
    case NetError::kRefused:
      return "nobody listens there";
    case NetError::kUnreachable:
      return "that address cannot be reached";
    case NetError::kTimeout:
      return "connecting took too long";
    case NetError::kAddressInUse:
      return "the port is taken";
    case NetError::kPermission:
      return "not allowed to listen there";
    case NetError::kTooManyFiles:
      return "out of file descriptors (EMFILE)";
    case NetError::kNoLocalPort:
      return "out of local ports (EADDRNOTAVAIL)";
    case NetError::kReadBufferFull:
      return "a frame larger than the read buffer";
    case NetError::kOther:
      return "network error";
  }
  return "unknown network error";
}

std::string Endpoint::ToString() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

Result<Endpoint, std::string> ParseEndpoint(std::string_view text, bool allow_port_zero) {
  const auto wrong = [&](std::string_view why) {
    return fmt::format("'{}' is not an address of the form host:port: {}", text, why);
  };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong("no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return wrong("an IPv6 address goes in brackets");
  }
  if (host.empty()) return wrong("no host");
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    return wrong("the port is a number from 1 to 65535");
  }
  if (port == 0 && !allow_port_zero) return wrong("port 0 cannot be used here");
  return Endpoint{std::string(host), port};
}

bool IsLoopback(const Endpoint& endpoint) {
  return endpoint.host == "localhost" || endpoint.host == "::1" ||
         endpoint.host.rfind("127.", 0) == 0;
}

}  // namespace baiwan
