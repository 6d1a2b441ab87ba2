#include "net/sockets.h"

#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <cerrno>

namespace baiwan::net {
namespace {

TEST(Sockets, EveryErrorNumberThatMattersHasItsOwnMeaning) {
  const std::pair<int, NetError> cases[] = {
      {EADDRINUSE, NetError::kAddressInUse},
      {EACCES, NetError::kPermission},
      {EPERM, NetError::kPermission},
      {EMFILE, NetError::kTooManyFiles},
      {ENFILE, NetError::kTooManyFiles},
      {ECONNREFUSED, NetError::kRefused},
      {ENETUNREACH, NetError::kUnreachable},
      {EHOSTUNREACH, NetError::kUnreachable},
      {ETIMEDOUT, NetError::kTimeout},
      {ECONNRESET, NetError::kReset},
      {EPIPE, NetError::kReset},
      {EADDRNOTAVAIL, NetError::kNoLocalPort},
      {EIO, NetError::kOther},
  };
  for (const auto& [error, meaning] : cases) EXPECT_EQ(ErrorOf(error), meaning) << error;
}

TEST(Sockets, AddressesAreReadAndWrittenInBothFamilies) {
  for (const Endpoint& endpoint : {Endpoint{"127.0.0.1", 9500}, Endpoint{"::1", 1}}) {
    const auto address = ToSocketAddress(endpoint);
    ASSERT_TRUE(address.ok());
    EXPECT_EQ(ToEndpoint(*address), endpoint);
  }
  EXPECT_EQ(ToEndpoint(*ToSocketAddress({"localhost", 7})), (Endpoint{"127.0.0.1", 7}));
  for (const char* host : {"", "localhost.", "1.2.3", "256.1.1.1", ":::"}) {
    EXPECT_FALSE(ToSocketAddress({host, 1}).ok()) << host;
  }
}

TEST(Sockets, AcceptedConnectionsInheritNoDelay) {
  const int listening = *OpenListener({"127.0.0.1", 0}, 8, Blocking::kYes);
  const auto address = ToSocketAddress(LocalEndpoint(listening));
  const int client = *OpenSocket(*address, Blocking::kYes);
  ASSERT_EQ(connect(client, address->get(), address->size), 0);
  const int server = accept(listening, nullptr, nullptr);
  for (const int fd : {client, server}) {
    int on = 0;
    socklen_t size = sizeof on;
    ASSERT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
    EXPECT_NE(on, 0);
  }
  EXPECT_FALSE(ConnectedToItself(client));
  for (const int fd : {listening, client, server}) close(fd);
}

TEST(Sockets, AConnectionThatMetItselfIsRecognised) {
  const auto any = ToSocketAddress({"127.0.0.1", 0});
  const int fd = *OpenSocket(*any, Blocking::kYes);
  ASSERT_EQ(bind(fd, any->get(), any->size), 0);
  const auto own = ToSocketAddress(LocalEndpoint(fd));
  ASSERT_EQ(connect(fd, own->get(), own->size), 0);
  EXPECT_TRUE(ConnectedToItself(fd));
  close(fd);
}

}  // namespace
}  // namespace baiwan::net
