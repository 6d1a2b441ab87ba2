// Connecting and listening, and what happens where the machine's limits are: ports, backlogs, file
// descriptors, thousands of connections, kernels that refuse io_uring.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <thread>
#include <vector>

#include "net/testing/transport_fixture.h"

namespace baiwan::net {
namespace {

class TransportLimits : public TransportTest {
 protected:
  struct Attempt {
    std::optional<NetError> error;
    std::unique_ptr<ByteStream> stream;
    int calls = 0;
    bool done() const { return calls > 0; }
  };
  void Connect(const Endpoint& to, Attempt& attempt, Nanos timeout = 2 * kSecond) {
    loop->transport().Connect(to, timeout,
                              [&attempt](Result<std::unique_ptr<ByteStream>, NetError> result) {
                                ++attempt.calls;
                                if (result) {
                                  attempt.stream = std::move(*result);
                                } else {
                                  attempt.error = result.error();
                                }
                              });
  }
  NetError ErrorOfConnect(const Endpoint& to, Nanos timeout = 2 * kSecond) {
    Attempt attempt;
    Connect(to, attempt, timeout);
    EXPECT_EQ(attempt.calls, 0) << "in a later turn";
    EXPECT_TRUE(RunUntil([&] { return attempt.done(); }));
    RunFor(5 * kMillisecond);
    EXPECT_EQ(attempt.calls, 1);
    return attempt.error.value_or(NetError{});
  }
};
BAIWAN_ON_BOTH_BACKENDS(TransportLimits);

TEST_P(TransportLimits, PortZeroTakesAFreePort) {
  Listen([](auto) {});
  const auto second = loop->transport().Listen({"localhost", 0}, [](auto) {});
  ASSERT_TRUE(second.ok());
  EXPECT_NE(listener->local().port, 0);
  EXPECT_EQ((*second)->local().host, "127.0.0.1");
  EXPECT_NE((*second)->local().port, listener->local().port);
}

TEST_P(TransportLimits, APortThatIsSoonFreeIsWaitedForWhereThatIsWanted) {
  const auto holder = OpenListener({"127.0.0.1", 0}, 16, Blocking::kYes);
  ASSERT_TRUE(holder.ok());
  const Endpoint at = LocalEndpoint(*holder);
  LoopOptions patient;
  patient.port_within = 20 * kSecond;
  Start(patient);
  if (IsSkipped()) return;
  std::thread frees([&holder] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    close(*holder);
  });
  EXPECT_TRUE(loop->transport().Listen(at, [](auto) {}).ok());
  frees.join();
}

TEST_P(TransportLimits, APortIsTakenWhileSomebodyListensAndFreeAfterwards) {
  Listen([](auto) {});
  const Endpoint at = listener->local();
  RunFor(5 * kMillisecond);
  const auto second = loop->transport().Listen(at, [](auto) {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error(), NetError::kAddressInUse);
  RawSocket client(at);  // leaves a connection behind
  RunFor(5 * kMillisecond);
  listener.reset();
  EXPECT_TRUE(loop->transport().Listen(at, [](auto) {}).ok()) << "at once";
  RunFor(5 * kMillisecond);
  EXPECT_TRUE(loop->transport().Listen(at, [](auto) {}).ok());
}

TEST_P(TransportLimits, APortIsFreeOnceItsLoopIsGone) {
  for (int i = 0; i < 10; ++i) {
    Listen([](auto) {});
    const Endpoint at = listener->local();
    RawSocket client(at);
    RunFor(2 * kMillisecond);
    Start({});
    const auto again = loop->transport().Listen(at, [](auto) {});
    ASSERT_TRUE(again.ok()) << Message(again.error());
  }
}

TEST_P(TransportLimits, AHostThatIsNoAddressOfThisMachineCannotBeListenedOn) {
  for (const char* host : {"example.invalid", "192.0.2.1"}) {  // RFC 5737: nobody's
    const auto made = loop->transport().Listen({host, 0}, [](auto) {});
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error(), NetError::kUnreachable) << host;
  }
}

TEST_P(TransportLimits, ConnectingTellsWhyItFailed) {
  Listen([](auto) {});
  const Endpoint nobody = listener->local();
  listener.reset();
  RunFor(2 * kMillisecond);
  EXPECT_EQ(ErrorOfConnect(nobody), NetError::kRefused);
  EXPECT_EQ(ErrorOfConnect({"not an address", 80}), NetError::kUnreachable);
}

TEST_P(TransportLimits, ConnectingToAFullBacklogTimesOutInTime) {
  // A listener that accepts nothing, and as many connections as it has room for.
  const int listening = *OpenListener({"127.0.0.1", 0}, 0, Blocking::kYes);
  const Endpoint at = LocalEndpoint(listening);
  RawSocket first(at);
  ASSERT_TRUE(first.connected);
  Attempt filler;
  Connect(at, filler, 30 * kSecond);
  RunFor(20 * kMillisecond);
  const Nanos start = loop->clock().Monotonic();
  EXPECT_EQ(ErrorOfConnect(at, 100 * kMillisecond), NetError::kTimeout);
  const Nanos took = loop->clock().Monotonic() - start;
  EXPECT_GE(took, 100 * kMillisecond);
  EXPECT_LT(took, 5 * kSecond);
  loop.reset();
  close(listening);
}

TEST_P(TransportLimits, AConnectThatEndsWithItsTransportCallsNobody) {
  Listen([](auto) {});
  Attempt attempt;
  Connect(listener->local(), attempt);
  loop.reset();
  EXPECT_EQ(attempt.calls, 0);
}

TEST_P(TransportLimits, IPv6WorksLikeIPv4) {
  auto made = loop->transport().Listen({"::1", 0}, [](auto) {});
  if (!made) GTEST_SKIP() << "no IPv6 here: " << Message(made.error());
  Attempt attempt;
  Connect((*made)->local(), attempt);
  ASSERT_TRUE(RunUntil([&] { return attempt.done(); }));
  ASSERT_TRUE(attempt.stream);
  EXPECT_EQ(attempt.stream->peer().host, "::1");
}

TEST_P(TransportLimits, APausedListenerLeavesConnectionsInTheBacklog) {
  int accepted = 0;
  Listen([&](auto) { ++accepted; });
  RunFor(2 * kMillisecond);
  listener->Pause();
  RunFor(2 * kMillisecond);
  RawSocket a(listener->local()), b(listener->local());
  EXPECT_TRUE(a.connected && b.connected);
  RunFor(20 * kMillisecond);
  EXPECT_EQ(accepted, 0);
  listener->Resume();
  ASSERT_TRUE(RunUntil([&] { return accepted == 2; }));
  listener->Pause();
  listener->Resume();
  RawSocket c(listener->local());
  ASSERT_TRUE(RunUntil([&] { return accepted == 3; }));
}

TEST_P(TransportLimits, AStormOfConnectionsIsAcceptedInBoundedPieces) {
  int accepted = 0, most = 0, in_turn = 0;
  Listen([&](auto) { ++accepted, ++in_turn; });
  std::vector<std::unique_ptr<RawSocket>> clients;
  clients.reserve(500);
  for (int i = 0; i < 500; ++i) clients.push_back(std::make_unique<RawSocket>(listener->local()));
  ASSERT_TRUE(RunUntil([&] {
    most = std::max(most, std::exchange(in_turn, 0));
    return accepted == 500;
  }));
  EXPECT_LE(most, 64);
}

TEST_P(TransportLimits, TwoThousandConnectionsWorkAndTheIdleOnesCostNothing) {
  constexpr std::size_t kConnections = 2'000;
  std::vector<Peer> clients(kConnections), servers(kConnections);
  std::size_t accepted = 0, connected = 0;
  Listen([&](auto stream) {
    Peer& server = servers[accepted++];
    server.on_data = [&server](std::string_view data) {
      server.stream->Write(data);
      return data.size();
    };
    server.Own(std::move(stream));
  });
  for (Peer& client : clients) {
    loop->transport().Connect(listener->local(), 10 * kSecond, [&](auto stream) {
      ASSERT_TRUE(stream.ok()) << Message(stream.error());
      ++connected;
      client.Own(std::move(*stream));
      client.stream->Write("hello");
    });
  }
  ASSERT_TRUE(RunUntil(
      [&] {
        if (connected < kConnections || accepted < kConnections) return false;
        for (const Peer& client : clients) {
          if (client.received != "hello") return false;
        }
        return true;
      },
      20 * kSecond));

  const LoopStats before = loop->stats();
  for (int i = 0; i < 100; ++i) {
    Peer& client = clients[static_cast<std::size_t>(i) * 7];
    client.received.clear();
    client.stream->Write("again");
    ASSERT_TRUE(RunUntil([&] { return client.received == "again"; }));
  }
  const LoopStats after = loop->stats();
  EXPECT_LE(after.turns - before.turns, 1'000u);
  EXPECT_LE(after.syscalls - before.syscalls, 1'500u);
}

// A low limit of file descriptors (io_uring notes it when an accept begins), all of them taken on
// demand.
class FewDescriptors {
 public:
  FewDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit low = before_;
    low.rlim_cur = 200;
    setrlimit(RLIMIT_NOFILE, &low);
  }
  ~FewDescriptors() {
    GiveBack();
    setrlimit(RLIMIT_NOFILE, &before_);
  }
  void TakeAll() {
    for (int fd = dup(0); fd >= 0; fd = dup(0)) taken_.push_back(fd);
  }
  void GiveBack() {
    for (const int fd : std::exchange(taken_, {})) close(fd);
  }

 private:
  rlimit before_{};
  std::vector<int> taken_;
};

TEST_P(TransportLimits, WithoutDescriptorsConnectionsWaitAndTheLoopDoesNotSpin) {
  FewDescriptors few;
  int accepted = 0;
  std::vector<std::unique_ptr<ByteStream>> streams;
  Listen([&](auto stream) {
    ++accepted;
    streams.push_back(std::move(stream));
  });
  RunFor(2 * kMillisecond);
  RawSocket client(*OpenSocket(*ToSocketAddress(listener->local()), Blocking::kYes),
                   listener->local());
  // No error, or why one of three things that need a descriptor does not work.
  const auto refused = [&] {
    const auto second = loop->transport().Listen({"127.0.0.1", 0}, [](auto) {});
    const NetError listening = second ? NetError{} : second.error();
    const NetError connecting = ErrorOfConnect(listener->local());
    EXPECT_EQ(listening, connecting);
    EXPECT_EQ(RealLoop::Create({GetParam()}).ok(), listening == NetError{});
    return listening;
  };
  EXPECT_EQ(refused(), NetError{});
  ASSERT_TRUE(RunUntil([&] { return accepted == 1; }));
  RunFor(20 * kMillisecond);  // for descriptors that are still being closed

  few.TakeAll();
  client.Connect();
  ASSERT_TRUE(client.connected);
  const std::uint64_t before = loop->stats().syscalls;
  const Nanos deadline = loop->clock().Monotonic() + 350 * kMillisecond;
  while (loop->clock().Monotonic() < deadline) loop->RunOnce(50 * kMillisecond);
  EXPECT_EQ(accepted, 1);
  EXPECT_LE(loop->stats().syscalls - before, 60u);
  EXPECT_EQ(refused(), NetError::kTooManyFiles);

  few.GiveBack();
  ASSERT_TRUE(RunUntil([&] { return accepted == 2; })) << "as soon as there are some again";
  EXPECT_EQ(refused(), NetError{});
}

std::size_t OpenDescriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// What is beyond belongs to others of the process, which would fail without.
TEST_P(TransportLimits, MoreConnectionsThanTheLoopMayAcceptWaitInTheKernel) {
  LoopOptions options;
  options.max_accepted = 3;
  Start(options);
  std::vector<Peer> accepted;
  accepted.reserve(20);
  const auto take = [&](std::unique_ptr<ByteStream> stream) {
    accepted.emplace_back().Own(std::move(stream));
  };
  Listen(take);
  const auto second = loop->transport().Listen({"127.0.0.1", 0}, take);
  ASSERT_TRUE(second.ok());
  std::vector<std::unique_ptr<RawSocket>> clients;
  for (int i = 0; i < 10; ++i) {
    const Endpoint to = i % 2 == 0 ? listener->local() : (*second)->local();
    clients.push_back(
        std::make_unique<RawSocket>(*OpenSocket(*ToSocketAddress(to), Blocking::kYes), to));
  }
  const std::size_t before = OpenDescriptors();
  for (const auto& client : clients) {
    client->Connect();
    ASSERT_TRUE(client->connected);
  }
  ASSERT_TRUE(RunUntil([&] { return accepted.size() == 3; }));
  const std::uint64_t syscalls = loop->stats().syscalls;
  for (int turn = 0; turn < 20; ++turn) loop->RunOnce(2 * kMillisecond);
  EXPECT_EQ(accepted.size(), 3u);
  EXPECT_EQ(OpenDescriptors() - before, 3u);
  EXPECT_LE(loop->stats().syscalls - syscalls, 40u) << "the loop spins";

  for (std::size_t gone = 1; gone <= 7; ++gone) {
    accepted[gone - 1].stream.reset();
    ASSERT_TRUE(RunUntil([&] { return accepted.size() == 3 + gone; })) << gone;
    EXPECT_LE(OpenDescriptors() - before, 3u);
  }
}

// Makes every io_uring_setup of this process fail, as container runtimes do.
bool ForbidIoUring() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST(Backends, AKernelThatRefusesIoUringGivesEpollUnlessIoUringWasDemanded) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (!ForbidIoUring()) _exit(10);
    LoopOptions options;
    const auto any = RealLoop::Create(options);
    if (!any || (*any)->backend() != Backend::kEpoll) _exit(11);
    options.backend = Backend::kIoUring;
    const auto demanded = RealLoop::Create(options);
    if (demanded) _exit(12);
    if (demanded.error().find("Operation not permitted") == std::string::npos) _exit(13);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Backends, AutoTakesIoUringWhereItWorks) {
  LoopOptions options;
  options.backend = Backend::kIoUring;
  const auto demanded = RealLoop::Create(options);
  if (!demanded) GTEST_SKIP() << demanded.error();
  options.backend = Backend::kAuto;
  const auto any = RealLoop::Create(options);
  ASSERT_TRUE(any.ok());
  EXPECT_EQ((*any)->backend(), Backend::kIoUring);
}

}  // namespace
}  // namespace baiwan::net
