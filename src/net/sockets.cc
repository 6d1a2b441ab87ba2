#include "net/sockets.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace baiwan::net {
namespace {

void SetOption(int fd, int level, int option) {
  const int on = 1;
  setsockopt(fd, level, option, &on, sizeof on);
}

int TypeOf(Blocking blocking) {
  return SOCK_STREAM | SOCK_CLOEXEC | (blocking == Blocking::kNo ? SOCK_NONBLOCK : 0);
}

}  // namespace

NetError ErrorOf(int error) {
  switch (error) {
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
    case ENOTCONN:
    case ESHUTDOWN:
      return NetError::kReset;
    case ECONNREFUSED:
      return NetError::kRefused;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EAFNOSUPPORT:
      return NetError::kUnreachable;
    case ETIMEDOUT:
      return NetError::kTimeout;
    case EADDRINUSE:
      return NetError::kAddressInUse;
    case EACCES:
    case EPERM:
      return NetError::kPermission;
    case EADDRNOTAVAIL:  // a listener means something else by it, see OpenListener
      return NetError::kNoLocalPort;
    case EMFILE:
    case ENFILE:
      return NetError::kTooManyFiles;
    default:
      return NetError::kOther;
  }
}

Result<SocketAddress, NetError> ToSocketAddress(const Endpoint& endpoint) {
  const char* host = endpoint.host == "localhost" ? "127.0.0.1" : endpoint.host.c_str();
  SocketAddress address;
  sockaddr_in v4{};
  if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&address.storage, &v4, sizeof v4);
    address.size = sizeof v4;
    return address;
  }
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.port);
    std::memcpy(&address.storage, &v6, sizeof v6);
    address.size = sizeof v6;
    return address;
  }
  return NetError::kUnreachable;
}

Endpoint ToEndpoint(const SocketAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.storage.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address.storage, sizeof v4);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return {text, ntohs(v4.sin_port)};
  }
  if (address.storage.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address.storage, sizeof v6);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return {text, ntohs(v6.sin6_port)};
  }
  return {"unknown", 0};  // the connection ended before it could be asked
}

Endpoint LocalEndpoint(int fd) {
  SocketAddress address;
  if (getsockname(fd, address.get(), &address.size) != 0) address = {};
  return ToEndpoint(address);
}

Endpoint PeerEndpoint(int fd) {
  SocketAddress address;
  if (getpeername(fd, address.get(), &address.size) != 0) address = {};
  return ToEndpoint(address);
}

Result<int, NetError> OpenListener(const Endpoint& at, int backlog, Blocking blocking) {
  const auto address = ToSocketAddress(at);
  if (!address) return address.error();
  const int fd = socket(address->storage.ss_family, TypeOf(blocking), 0);
  if (fd < 0) return ErrorOf(errno);
  SetOption(fd, SOL_SOCKET, SO_REUSEADDR);
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY);
  if (bind(fd, address->get(), address->size) != 0 || listen(fd, backlog) != 0) {
    // Of an address: it is not this machine's. Of any free port: there is none.
    const bool no_port = errno == EADDRINUSE && at.port == 0;
    const NetError error = errno == EADDRNOTAVAIL ? NetError::kUnreachable
                           : no_port              ? NetError::kNoLocalPort
                                                  : ErrorOf(errno);
    close(fd);
    return error;
  }
  return fd;
}

Result<int, NetError> OpenSocket(const SocketAddress& to, Blocking blocking) {
  const int fd = socket(to.storage.ss_family, TypeOf(blocking), 0);
  if (fd < 0) return ErrorOf(errno);
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY);
  return fd;
}

std::uint16_t FreeLoopbackPort() {
  constexpr std::uint16_t kFirst = 20'000;
  constexpr std::uint16_t kPorts = 10'000;
  constexpr int kTries = 1000;
  std::uint16_t start = 0;
  if (getrandom(&start, sizeof start, 0) != sizeof start) return 0;
  for (int i = 0; i < kTries; ++i) {
    const auto port = static_cast<std::uint16_t>(kFirst + (start + i * 7) % kPorts);
    const auto fd = OpenListener({"127.0.0.1", port}, 1, Blocking::kNo);
    if (!fd) continue;
    ::close(*fd);
    return port;
  }
  return 0;
}

bool ConnectedToItself(int fd) {
  const Endpoint peer = PeerEndpoint(fd);
  return peer.port != 0 && peer == LocalEndpoint(fd);
}

}  // namespace baiwan::net
