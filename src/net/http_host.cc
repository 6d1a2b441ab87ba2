#include "net/http_host.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/transport.h"

namespace baiwan::net {
namespace {

constexpr std::uint16_t kHttpPort = 80;
constexpr std::uint16_t kHttpsPort = 443;
constexpr std::string_view kLocalSuffix = ".localhost";

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool Same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return Lower(x) == Lower(y); });
}

bool Listed(std::string_view host, const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [host](const std::string& name) {
    return Same(host, name) || SameAddress(std::string(host), name);
  });
}

bool IsOurs(std::string_view host, const std::string& local,
            const std::vector<std::string>& names) {
  if (Listed(host, names)) return true;
  const std::string text(host);
  if (FormOf(host) == HostForm::kAddress) {
    return IsLoopback({text, 0}) || SameAddress(text, local);
  }
  return host.find('.') == host.npos ||
         (host.size() > kLocalSuffix.size() &&
          Same(host.substr(host.size() - kLocalSuffix.size()), kLocalSuffix));
}

// Where an Origin says that its page is from; nothing if it does not say, or is no page of HTTP.
struct Site {
  HostAndPort at;
  std::uint16_t standard_port = 0;
};
std::optional<Site> SiteOf(std::string_view origin) {
  Site site;
  for (const auto& [scheme, port] :
       {std::pair<std::string_view, std::uint16_t>{"http://", kHttpPort},
        {"https://", kHttpsPort}}) {
    if (!Same(origin.substr(0, scheme.size()), scheme)) continue;
    const auto at = ParseHost(origin.substr(scheme.size()));
    if (!at) return std::nullopt;
    return Site{*at, port};
  }
  return std::nullopt;
}

enum class From : std::uint8_t { kHere, kListed, kElsewhere };

From OriginOf(std::string_view origin, const std::optional<HostAndPort>& host,
              const std::vector<std::string>& names) {
  const auto site = SiteOf(origin);
  if (!site) return From::kElsewhere;
  if (Listed(site->at.host, names)) return From::kListed;
  const bool here =
      host && Same(site->at.host, host->host) &&
      site->at.port.value_or(site->standard_port) == host->port.value_or(site->standard_port);
  return here ? From::kHere : From::kElsewhere;
}

}  // namespace

std::optional<HostAndPort> ParseHost(std::string_view text) {
  HostAndPort result;
  const bool brackets = !text.empty() && text.front() == '[';
  const auto end = brackets ? text.find(']') : text.find(':');
  if (brackets && end == text.npos) return std::nullopt;
  result.host = brackets ? text.substr(1, end - 1) : text.substr(0, end);
  std::string_view rest =
      end == text.npos ? std::string_view{} : text.substr(end + (brackets ? 1 : 0));
  if (!rest.empty()) {
    if (rest.front() != ':') return std::nullopt;
    rest.remove_prefix(1);
  }
  if (!rest.empty()) {  // "host:" is allowed, and says nothing
    std::uint16_t port = 0;
    const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), port);
    if (error != std::errc{} || stop != rest.data() + rest.size()) return std::nullopt;
    result.port = port;
  }
  std::string_view name = result.host;  // the root may be named: "example."
  if (!brackets && name.size() > 1 && name.back() == '.') name.remove_suffix(1);
  const bool v6 = name.find(':') != name.npos;
  if (FormOf(name) == HostForm::kNone || v6 != brackets) return std::nullopt;
  result.host = name;
  return result;
}

Foreign IsForeign(const HttpRequest& request, const std::string& local,
                  const std::vector<std::string>& names) {
  std::optional<HostAndPort> host;
  if (!request.host.empty()) {
    host = ParseHost(request.host);
    if (!host || !IsOurs(host->host, local, names)) return Foreign::kHost;
  }
  bool listed = false;
  bool crosses = false;
  for (const auto& [name, value] : request.headers) {
    if (Same(name, "Origin")) {
      const From from = OriginOf(value, host, names);
      if (from == From::kElsewhere) return Foreign::kPage;
      listed = listed || from == From::kListed;
    } else if (Same(name, "Sec-Fetch-Site")) {
      crosses = crosses || !(Same(value, "same-origin") || Same(value, "none"));
    }
  }
  return crosses && !listed ? Foreign::kPage : Foreign::kNo;
}

}  // namespace baiwan::net
