// What the tests of real loops share: every test runs on both backends, over loopback.
//
// Peer is a handler that records what happens to it; RawSocket is a blocking socket without any of
// our code, for the other end. Both ends live on one thread: RunUntil turns the loop.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "net/sockets.h"
#include "net/transport.h"

namespace baiwan::net {

struct Peer : StreamHandler {
  std::unique_ptr<ByteStream> stream;
  std::string received;
  std::optional<NetError> closed;
  int writable = 0;
  int calls = 0;
  // Instead of recording.
  std::function<std::size_t(std::string_view)> on_data;
  std::function<void()> on_writable;
  std::function<void()> on_closed;

  void Own(std::unique_ptr<ByteStream> mine) {
    stream = std::move(mine);
    stream->SetHandler(this);
  }
  std::size_t OnData(std::string_view data) override {
    ++calls;
    if (on_data) return on_data(data);
    received.append(data);
    return data.size();
  }
  void OnWritable() override {
    ++writable;
    if (on_writable) on_writable();
  }
  void OnClosed(NetError error) override {
    EXPECT_FALSE(closed.has_value()) << "told twice";
    closed = error;
    if (on_closed) on_closed();
  }
};

class RawSocket {
 public:
  explicit RawSocket(const Endpoint& endpoint)
      : RawSocket(*OpenSocket(*ToSocketAddress(endpoint), Blocking::kYes), endpoint) {
    Connect();
  }
  // Connects later.
  RawSocket(int descriptor, const Endpoint& endpoint)
      : fd(descriptor), to(*ToSocketAddress(endpoint)) {}
  ~RawSocket() { Close(); }
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;

  void Connect() { connected = connect(fd, to.get(), to.size) == 0; }
  void Close() {
    if (fd >= 0) close(std::exchange(fd, -1));
  }
  // Closes so that the other side sees a reset.
  void Reset() {
    const linger now{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    Close();
  }
  ssize_t Send(std::string_view data, int flags = 0) {
    return send(fd, data.data(), data.size(), flags | MSG_NOSIGNAL);
  }
  // What is there, at most `most` bytes. Sets `end` to 0 at the end of the stream, or to an errno.
  std::string Read(std::size_t most = 1 << 20) {
    std::string data(most, '\0');
    const ssize_t n = recv(fd, data.data(), data.size(), MSG_DONTWAIT);
    if (n == 0) end = 0;
    if (n < 0 && errno != EAGAIN) end = errno;
    data.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return data;
  }

  int fd = -1;
  SocketAddress to;
  bool connected = false;
  std::optional<int> end;
};

inline std::string BackendName(const ::testing::TestParamInfo<Backend>& info) {
  return info.param == Backend::kEpoll ? "epoll" : "io_uring";
}

class TransportTest : public ::testing::TestWithParam<Backend> {
 protected:
  void SetUp() override { Start({}); }

  void Start(LoopOptions options) {
    listener.reset();
    loop.reset();
    options.backend = GetParam();
    auto made = RealLoop::Create(options);
    if (!made && options.backend == Backend::kIoUring) GTEST_SKIP() << made.error();
    ASSERT_TRUE(made.ok()) << made.error();
    loop = std::move(*made);
    ASSERT_EQ(loop->backend(), GetParam());
  }

  void Listen(AcceptFn on_accept) {
    auto made = loop->transport().Listen({"127.0.0.1", 0}, std::move(on_accept));
    ASSERT_TRUE(made.ok()) << Message(made.error());
    listener = std::move(*made);
  }
  // Accepts one connection into `server`.
  void ListenFor(Peer& server) {
    Listen([&server](std::unique_ptr<ByteStream> stream) { server.Own(std::move(stream)); });
  }
  void ConnectPair(Peer& client, Peer& server) {
    ListenFor(server);
    loop->transport().Connect(listener->local(), kSecond,
                              [&](Result<std::unique_ptr<ByteStream>, NetError> stream) {
                                ASSERT_TRUE(stream.ok()) << Message(stream.error());
                                client.Own(std::move(*stream));
                              });
    ASSERT_TRUE(RunUntil([&] { return client.stream && server.stream; }));
  }

  ::testing::AssertionResult RunUntil(const std::function<bool()>& done,
                                      Nanos limit = 20 * kSecond) {
    const Nanos deadline = loop->clock().Monotonic() + limit;
    while (!done()) {
      if (loop->clock().Monotonic() > deadline) return ::testing::AssertionFailure() << "too late";
      loop->RunOnce(10 * kMillisecond);
    }
    return ::testing::AssertionSuccess();
  }
  void RunFor(Nanos time) {
    const Nanos deadline = loop->clock().Monotonic() + time;
    while (loop->clock().Monotonic() < deadline) loop->RunOnce(kMillisecond);
    // On a busy machine all of the time may have gone by without a turn.
    for (int turn = 0; turn < 5; ++turn) loop->RunOnce(0);
  }

  std::unique_ptr<RealLoop> loop;
  std::unique_ptr<Listener> listener;
};

#define BAIWAN_ON_BOTH_BACKENDS(Suite)                                                     \
  INSTANTIATE_TEST_SUITE_P(, Suite, ::testing::Values(Backend::kEpoll, Backend::kIoUring), \
                           BackendName)

}  // namespace baiwan::net
