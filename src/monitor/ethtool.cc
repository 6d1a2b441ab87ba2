#include "monitor/ethtool.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/file.h"

namespace baiwan::monitor {
namespace {

constexpr std::string_view kEnd = "_allowance_exceeded";
constexpr std::size_t kMostInterfaces = 64;
constexpr std::uint32_t kMostCounters = 4096;
// The kernel does not keep to the length that it is given: it writes as many items as the driver
// has by then, which may be more than it told of a moment ago (queues that were added).
constexpr std::size_t kRoomFor = 2 * std::size_t{kMostCounters};

// `command` begins with the command's number and gets the answer.
bool AskKernel(int socket, const std::string& interface, void* command) {
  ifreq request{};
  std::strncpy(request.ifr_name, interface.c_str(), IFNAMSIZ - 1);
  request.ifr_data = static_cast<char*>(command);
  return ::ioctl(socket, SIOCETHTOOL, &request) == 0;
}

std::uint32_t CountOf(const EthtoolFn& ask, const std::string& interface) {
  ethtool_drvinfo about{};
  about.cmd = ETHTOOL_GDRVINFO;
  if (!ask(interface, &about) || about.n_stats > kMostCounters) return 0;
  return about.n_stats;
}

// An answer's head of `Head` and behind it items of `size` bytes.
template <class Head>
std::vector<std::uint64_t> Room(std::size_t size) {
  return std::vector<std::uint64_t>((sizeof(Head) + kRoomFor * size) / sizeof(std::uint64_t) + 1);
}

std::vector<std::string> NamesOf(const EthtoolFn& ask, const std::string& interface,
                                 std::uint32_t count) {
  auto room = Room<ethtool_gstrings>(ETH_GSTRING_LEN);
  auto* head = reinterpret_cast<ethtool_gstrings*>(room.data());
  head->cmd = ETHTOOL_GSTRINGS;
  head->string_set = ETH_SS_STATS;
  head->len = count;
  if (!ask(interface, head) || head->len != count) return {};
  const char* text = reinterpret_cast<const char*>(room.data()) + sizeof(ethtool_gstrings);
  std::vector<std::string> names;
  names.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i, text += ETH_GSTRING_LEN) {
    names.emplace_back(text, ::strnlen(text, ETH_GSTRING_LEN));
  }
  return names;
}

std::vector<std::uint64_t> ValuesOf(const EthtoolFn& ask, const std::string& interface,
                                    std::uint32_t count) {
  auto room = Room<ethtool_stats>(sizeof(std::uint64_t));
  auto* head = reinterpret_cast<ethtool_stats*>(room.data());
  head->cmd = ETHTOOL_GSTATS;
  head->n_stats = count;
  if (!ask(interface, head) || head->n_stats != count) return {};
  std::vector<std::uint64_t> values(count);
  std::memcpy(values.data(), reinterpret_cast<const char*>(room.data()) + sizeof(ethtool_stats),
              count * sizeof(std::uint64_t));
  return values;
}

}  // namespace

DriverCounters DriverCountersOf(const std::string& interface) {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return {};
  return DriverCountersOf(interface, [&](const std::string& of, void* command) {
    return AskKernel(socket.get(), of, command);
  });
}

DriverCounters DriverCountersOf(const std::string& interface, const EthtoolFn& ask) {
  DriverCounters counters;
  const std::uint32_t count = CountOf(ask, interface);
  if (count == 0) return counters;
  const auto names = NamesOf(ask, interface, count);
  const auto values = ValuesOf(ask, interface, count);
  for (std::size_t i = 0; i < std::min(names.size(), values.size()); ++i) {
    counters.emplace_back(names[i], values[i]);
  }
  return counters;
}

void AddAllowances(const DriverCounters& counters, std::map<std::string, std::uint64_t>* sums) {
  for (const auto& [counter, value] : counters) {
    const std::string_view name = counter;
    if (name.size() <= kEnd.size() || name.substr(name.size() - kEnd.size()) != kEnd) continue;
    (*sums)[std::string(name.substr(0, name.size() - kEnd.size()))] += value;
  }
}

std::map<std::string, std::uint64_t> AllowanceCounters() {
  std::map<std::string, std::uint64_t> sums;
  struct if_nameindex* const all = ::if_nameindex();
  if (all == nullptr) return sums;
  std::size_t looked = 0;
  for (const auto* at = all; at->if_name != nullptr && looked < kMostInterfaces; ++at, ++looked) {
    AddAllowances(DriverCountersOf(at->if_name), &sums);
  }
  ::if_freenameindex(all);
  return sums;
}

}  // namespace baiwan::monitor
