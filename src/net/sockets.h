// Sockets, addresses and error numbers, in the terms of base/transport.h.
//
// Threads: any. Failure: NetError, from errno by ErrorOf; out of file descriptors is
// kTooManyFiles.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/result.h"
#include "base/transport.h"

namespace baiwan::net {

// An errno of socket, bind, listen, connect, accept, send or recv.
NetError ErrorOf(int error);

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// "localhost" is 127.0.0.1. kUnreachable: the host is not an address; names are not looked up.
Result<SocketAddress, NetError> ToSocketAddress(const Endpoint& endpoint);
Endpoint ToEndpoint(const SocketAddress& address);
Endpoint LocalEndpoint(int fd);
Endpoint PeerEndpoint(int fd);

enum class Blocking : bool { kNo, kYes };

// A listening TCP socket with SO_REUSEADDR; what it accepts inherits TCP_NODELAY from it (Linux).
Result<int, NetError> OpenListener(const Endpoint& at, int backlog, Blocking blocking);
// An unconnected TCP socket for `to`, with TCP_NODELAY.
Result<int, NetError> OpenSocket(const SocketAddress& to, Blocking blocking);

// A port of 127.0.0.1 where nobody listens now, below those that connections are given by the
// kernel, so that whoever takes it finds it free again after a restart. 0: none was found.
std::uint16_t FreeLoopbackPort();

// A connection to an ephemeral port of this host where nobody listens can meet itself.
bool ConnectedToItself(int fd);

}  // namespace baiwan::net
