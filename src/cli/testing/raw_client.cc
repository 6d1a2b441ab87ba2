#include "cli/testing/raw_client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include "net/sockets.h"

namespace baiwan::cli {

UniqueFd ConnectTo(std::uint16_t port, Nanos within) {
  const auto to = net::ToSocketAddress({"127.0.0.1", port});
  auto opened = net::OpenSocket(*to, net::Blocking::kYes);
  if (!opened) return {};
  UniqueFd socket(*opened);
  // Of connect as well.
  const timeval limit{within / kSecond, (within % kSecond) / kMicrosecond};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (::connect(socket.get(), to->get(), to->size) != 0) return {};
  return socket;
}

bool SendAll(const UniqueFd& socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::string ReceiveUntil(const UniqueFd& socket, std::string_view end, Nanos within) {
  std::string all;
  const Nanos until = SystemClock().Monotonic() + within;
  while (all.find(end) == std::string::npos) {
    const Nanos left = until - SystemClock().Monotonic();
    pollfd some{socket.get(), POLLIN, 0};
    if (left <= 0 || ::poll(&some, 1, static_cast<int>(left / kMillisecond) + 1) <= 0) break;
    char buffer[4096];
    const auto n = ::recv(socket.get(), buffer, sizeof buffer, 0);
    if (n <= 0) break;
    all.append(buffer, static_cast<std::size_t>(n));
  }
  return all;
}

std::string Ask(std::uint16_t port, std::string_view method, std::string_view target,
                std::string_view body, Nanos within) {
  const UniqueFd socket = ConnectTo(port, within);
  if (!socket) return {};
  SendAll(socket, fmt::format("{} {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: {}\r\n"
                              "Connection: close\r\n\r\n{}",
                              method, target, port, body.size(), body));
  return ReceiveUntil(socket, "\x01 never", within);
}

}  // namespace baiwan::cli
