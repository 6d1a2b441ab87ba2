// What it costs to carry small messages over loopback: echo of 64-byte messages.
//
// A server and a client loop, each on its own thread with the backend under test. Every connection
// keeps one write of `batch` messages on its way: when all of it has come back, it sends the next.
// Figures are per echoed message: CPU time of each side (getrusage, user and system), and messages
// per system call, both sides together.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "net/transport.h"

namespace baiwan::net {
namespace {

constexpr std::size_t kMessage = 64;              // bytes
constexpr std::uint64_t kPerIteration = 50'000;   // messages, at least
constexpr std::uint64_t kAloneIteration = 2'000;  // when only one connection speaks

double ThreadCpuMicros() {
  rusage used{};
  getrusage(RUSAGE_THREAD, &used);
  const auto micros = [](const timeval& t) { return t.tv_sec * 1e6 + t.tv_usec; };
  return micros(used.ru_utime) + micros(used.ru_stime);
}

std::unique_ptr<RealLoop> MakeLoop(Backend backend) {
  LoopOptions options;
  options.backend = backend;
  auto loop = RealLoop::Create(options);
  return loop ? std::move(*loop) : nullptr;
}

class EchoServer {
 public:
  explicit EchoServer(Backend backend) {
    std::promise<Endpoint> started;
    auto at = started.get_future();
    thread_ = std::thread([this, backend, &started] {
      loop_ = MakeLoop(backend);
      auto listener = loop_->transport().Listen({"127.0.0.1", 0}, [this](auto stream) {
        echoes_.push_back(std::make_unique<Echo>(std::move(stream)));
      });
      started.set_value((*listener)->local());
      loop_->Run();
      listener->reset();
      echoes_.clear();
      loop_.reset();
    });
    at_ = at.get();
  }
  ~EchoServer() {
    loop_->Stop();
    thread_.join();
  }

  struct Usage {
    double cpu_micros;
    LoopStats stats;
  };
  Usage used() {
    std::promise<Usage> told;
    loop_->Post([&] { told.set_value({ThreadCpuMicros(), loop_->stats()}); });
    return told.get_future().get();
  }
  const Endpoint& at() const { return at_; }

 private:
  struct Echo final : StreamHandler {
    explicit Echo(std::unique_ptr<ByteStream> mine) : stream(std::move(mine)) {
      stream->SetHandler(this);
    }
    std::size_t OnData(std::string_view data) override {
      stream->Write(data);
      return data.size();
    }
    void OnClosed(NetError) override { stream.reset(); }
    std::unique_ptr<ByteStream> stream;
  };

  std::unique_ptr<RealLoop> loop_;
  std::vector<std::unique_ptr<Echo>> echoes_;
  Endpoint at_;
  std::thread thread_;
};

class EchoClients {
 public:
  EchoClients(RealLoop& loop, const Endpoint& to, std::size_t connections, std::size_t batch)
      : loop_(loop), write_(batch * kMessage, 'm') {
    // A few hundred at a time: the backlog is not what is measured.
    while (clients_.size() < connections) {
      const std::size_t until = std::min(clients_.size() + 200, connections);
      for (std::size_t i = clients_.size(); i < until; ++i) {
        loop_.transport().Connect(to, 10 * kSecond, [this](auto stream) {
          clients_.push_back(std::make_unique<Client>(*this, std::move(*stream)));
        });
      }
      while (clients_.size() < until) loop_.RunOnce(kSecond);
    }
  }

  // The first `active` connections begin.
  void Begin(std::size_t active) {
    for (std::size_t i = 0; i < active; ++i) clients_[i]->stream->Write(write_);
  }
  // Until so many more messages have come back.
  void Run(std::uint64_t messages) {
    stop_at_ = messages_ + messages;
    while (messages_ < stop_at_) loop_.RunOnce(kSecond);
  }
  std::uint64_t messages() const { return messages_; }

 private:
  struct Client final : StreamHandler {
    Client(EchoClients& all, std::unique_ptr<ByteStream> mine)
        : clients(all), stream(std::move(mine)) {
      stream->SetHandler(this);
    }
    std::size_t OnData(std::string_view data) override {
      came += data.size();
      if (came >= clients.write_.size()) {
        came -= clients.write_.size();
        clients.messages_ += clients.write_.size() / kMessage;
        stream->Write(clients.write_);
      }
      return data.size();
    }
    void OnClosed(NetError) override {}
    EchoClients& clients;
    std::unique_ptr<ByteStream> stream;
    std::size_t came = 0;
  };

  RealLoop& loop_;
  const std::string write_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::uint64_t messages_ = 0, stop_at_ = 0;
};

void Measure(benchmark::State& state, Backend backend, std::size_t connections, std::size_t active,
             std::size_t batch, std::uint64_t per_iteration) {
  const auto loop = MakeLoop(backend);
  if (!loop) {
    state.SkipWithError("this kernel refuses the backend");
    return;
  }
  EchoServer server(backend);
  EchoClients clients(*loop, server.at(), connections, batch);
  clients.Begin(active);
  clients.Run(per_iteration);  // warm

  const auto server_before = server.used();
  const LoopStats before = loop->stats();
  const double cpu_before = ThreadCpuMicros();
  const std::uint64_t messages_before = clients.messages();
  for (auto _ : state) clients.Run(per_iteration);
  const double cpu = ThreadCpuMicros() - cpu_before;
  const auto server_after = server.used();
  const auto messages = static_cast<double>(clients.messages() - messages_before);
  const auto calls =
      static_cast<double>(loop->stats().syscalls - before.syscalls + server_after.stats.syscalls -
                          server_before.stats.syscalls);

  state.counters["server_us"] = (server_after.cpu_micros - server_before.cpu_micros) / messages;
  state.counters["client_us"] = cpu / messages;
  state.counters["per_syscall"] = messages / calls;
  state.counters["messages/s"] = benchmark::Counter(messages, benchmark::Counter::kIsRate);
}

void Echo(benchmark::State& state, Backend backend) {
  const auto connections = static_cast<std::size_t>(state.range(0));
  Measure(state, backend, connections, connections, static_cast<std::size_t>(state.range(1)),
          kPerIteration);
}

// One connection speaks, the others are idle: they should make no difference.
void OneOf(benchmark::State& state, Backend backend) {
  Measure(state, backend, static_cast<std::size_t>(state.range(0)), 1, 1, kAloneIteration);
}

void Sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"connections", "batch"})->UseRealTime()->Unit(benchmark::kMillisecond);
  for (const int connections : {200, 9'000}) {
    for (const int batch : {1, 8, 64}) bench->Args({connections, batch});
  }
}
void Crowds(benchmark::internal::Benchmark* bench) {
  bench->ArgName("connections")->UseRealTime()->Unit(benchmark::kMillisecond);
  for (const int connections : {1, 9'000}) bench->Arg(connections);
}
BENCHMARK_CAPTURE(OneOf, epoll, Backend::kEpoll)->Apply(Crowds);
BENCHMARK_CAPTURE(OneOf, io_uring, Backend::kIoUring)->Apply(Crowds);
BENCHMARK_CAPTURE(Echo, epoll, Backend::kEpoll)->Apply(Sizes);
BENCHMARK_CAPTURE(Echo, io_uring, Backend::kIoUring)->Apply(Sizes);

}  // namespace
}  // namespace baiwan::net

BENCHMARK_MAIN();
