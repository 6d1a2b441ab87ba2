#include "base/transport.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace baiwan {
namespace {

constexpr std::size_t kMaxHost = 253;  // RFC 1035: a name's text …
constexpr std::size_t kMaxLabel = 63;  // … and one part of it

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameChar(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

using Address = std::array<unsigned char, 16>;  // an IPv4 address in its form in IPv6
constexpr std::array<unsigned char, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

std::optional<Address> Parse(const std::string& text) {
  Address address{};
  if (inet_pton(AF_INET, text.c_str(), address.data() + kMapped.size()) == 1) {
    std::copy(kMapped.begin(), kMapped.end(), address.begin());
    return address;
  }
  if (inet_pton(AF_INET6, text.c_str(), address.data()) == 1) return address;
  return std::nullopt;
}

bool IsName(std::string_view name) {
  for (;;) {
    const auto dot = name.find('.');
    const auto label = name.substr(0, dot);
    if (label.empty() || label.size() > kMaxLabel || label.front() == '-' || label.back() == '-' ||
        !std::all_of(label.begin(), label.end(), IsNameChar)) {
      return false;
    }
    if (dot == std::string_view::npos) return !std::all_of(label.begin(), label.end(), IsDigit);
    name.remove_prefix(dot + 1);
  }
}

}  // namespace

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

HostForm FormOf(std::string_view host) {
  if (host.empty() || host.size() > kMaxHost || host.find('\0') != host.npos)
    return HostForm::kNone;
  if (Parse(std::string(host))) return HostForm::kAddress;
  return IsName(host) ? HostForm::kName : HostForm::kNone;
}

bool SameAddress(const std::string& a, const std::string& b) {
  const auto first = Parse(a);
  return first && first == Parse(b);
}

bool IsEveryAddress(const std::string& host) {
  const auto address = Parse(host);
  return address && (*address == Address{} || *address == *Parse("0.0.0.0"));
}

bool IsLoopback(const Endpoint& endpoint) {
  if (endpoint.host == "localhost") return true;
  const auto address = Parse(endpoint.host);
  if (!address) return false;
  return address == Parse("::1") ||
         (std::equal(kMapped.begin(), kMapped.end(), address->begin()) && (*address)[12] == 127);
}

}  // namespace baiwan
