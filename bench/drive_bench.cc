// What a message costs the load client, and what it costs the cell: both in this process, each on a
// loop and thread of its own, over real sockets, with a store in memory.
//
//   drive_bench [ws|http] [users] [rounds] [messages per frame] [in flight] [concurrency]
//
// Not a benchmark of the store, nor of cells among each other: see `baiwan stress` for the whole.
#include <fmt/format.h>
#include <pthread.h>
#include <time.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "cell/host.h"
#include "net/transport.h"
#include "store/engine/memory_kv.h"
#include "stress/driver.h"
#include "stress/http_target.h"
#include "stress/import.h"
#include "stress/ws_target.h"

namespace baiwan::stress {
namespace {

double ThreadCpuSeconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// One thread's loop and context.
struct Side {
  Side() : loop(std::move(*net::RealLoop::Create({}))) {}
  std::unique_ptr<net::RealLoop> loop;
  Rng rng{1};
  Budget budget{4ULL << 30};
  NodeContext node{*loop, loop->transport(), SystemClock(), rng, budget, ProcessFatal(), NoLog()};
};

struct Cell {
  std::atomic<std::uint16_t> port{0};
  std::atomic<net::RealLoop*> loop{nullptr};
  double cpu = 0;
  std::uint64_t commits = 0;
  net::LoopStats stats;
};

void RunCell(const WorkloadSpec& spec, const CellGraph& graph, Cell& cell) {
  pthread_setname_np(pthread_self(), "cell");
  Side side;
  store::MemoryDisk disk;
  auto kv = std::move(*store::OpenMemoryKv(disk, {}, side.loop.get()));
  auto store = std::move(*store::Store::Open(*kv, 0, {}, nullptr));
  const placement::PlacementTable table(1, spec.partitions);
  if (const auto wrong = ImportUsers(*kv, *store, graph, table, {}, {})) {
    fmt::print(stderr, "{}\n", *wrong);
    std::exit(1);
  }
  cell::HostOptions options;
  options.name = "cell0";
  options.secret = "secret";
  options.registry = {"127.0.0.1", 1};
  auto host = cell::CellHost::Create(side.node, options, table, store.get());
  if (!host) {
    fmt::print(stderr, "{}\n", host.error());
    std::exit(1);
  }
  const double before = ThreadCpuSeconds();
  cell.loop = side.loop.get();
  cell.port = (*host)->http_address().port;
  side.loop->Run();
  cell.cpu = ThreadCpuSeconds() - before;
  cell.commits = (*host)->logic()->counters().commits;
  cell.stats = side.loop->stats();
}

int Main(int argc, char** argv) {
  const auto number = [&](int i, std::uint32_t otherwise) {
    return argc > i ? static_cast<std::uint32_t>(std::atoi(argv[i])) : otherwise;
  };
  const bool http = argc > 1 && std::string_view(argv[1]) == "http";
  WorkloadSpec spec;
  spec.cells = 1;
  spec.friends_cross = 0;
  spec.users_per_cell = number(2, 1000);
  spec.rounds = number(3, 10);
  DriveOptions options;
  options.messages_per_frame = number(4, 8);
  options.in_flight = number(5, 32);
  options.concurrency = number(6, 200);
  if (const auto wrong = Validate(spec)) {
    fmt::print(stderr, "{}\n", *wrong);
    return 2;
  }
  const CellGraph graph = BuildCellGraph(spec, 0);
  Cell cell;
  std::thread server([&] { RunCell(spec, graph, cell); });
  while (cell.port == 0) std::this_thread::yield();

  pthread_setname_np(pthread_self(), "drive");
  Side side;
  const GatewayFor gateway = [&](UserId, Endpoint* out) {
    *out = {"127.0.0.1", cell.port};
    return true;
  };
  std::unique_ptr<Target> target;
  if (http) {
    target = std::make_unique<HttpTarget>(side.node, gateway);
  } else {
    target = std::make_unique<WsTarget>(side.node, gateway, options.messages_per_frame);
  }
  Driver driver(side.node, options, spec, graph, *target, nullptr);
  const double before = ThreadCpuSeconds();
  driver.Start([&] { side.loop->Stop(); });
  side.loop->Run();
  const double cpu = ThreadCpuSeconds() - before;
  cell.loop.load()->Stop();
  server.join();

  const DriveCounters& c = driver.counters();
  const double seconds = static_cast<double>(c.last_ack - c.first_submit) / kSecond;
  const auto messages = static_cast<double>(c.messages);
  const net::LoopStats stats = side.loop->stats();
  fmt::print("{} messages in {:.2f} s: {:.0f}/s, {} submitted, {} polls, {} refused kinds\n",
             c.messages, seconds, messages / seconds, c.submitted, c.polls, c.refused.size());
  fmt::print("drive: {:.3f} us of CPU a message, {} turns, {} system calls, {} reads\n",
             cpu * 1e6 / messages, stats.turns, stats.syscalls, stats.reads);
  fmt::print("cell:  {:.3f} us of CPU a message, {} turns, {} system calls, {} reads, {} commits\n",
             cell.cpu * 1e6 / messages, cell.stats.turns, cell.stats.syscalls, cell.stats.reads,
             cell.commits);
  return c.delivered == c.messages ? 0 : 1;
}

}  // namespace
}  // namespace baiwan::stress

int main(int argc, char** argv) { return baiwan::stress::Main(argc, argv); }
