// One cell in this process, on real sockets and a memory disk, with imported users; and a load
// client that plays them.
//
// The cell and the load client can be killed (destroyed in the middle of what they do) and started
// again, on the same disk and ledger. Threads: one loop for all.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "cell/host.h"
#include "net/transport.h"
#include "store/engine/memory_kv.h"
#include "stress/driver.h"
#include "stress/http_target.h"
#include "stress/import.h"
#include "stress/ws_target.h"

namespace baiwan::stress {

enum class Protocol { kWs, kHttp };

class World {
 public:
  World(const WorkloadSpec& workload, Protocol which)
      : spec(workload),
        graph(BuildCellGraph(spec, 0)),
        table(spec.cells, spec.partitions),
        loop_(std::move(*net::RealLoop::Create({}))),
        rng_(7),
        budget_(1ULL << 30),
        node{*loop_, loop_->transport(), SystemClock(), rng_, budget_, ProcessFatal(), NoLog()},
        protocol_(which) {
    OpenStore();
    const auto wrong = ImportUsers(*kv_, *store_, graph, table, {}, {});
    EXPECT_EQ(wrong, std::nullopt);
    store_.reset();
    kv_.reset();
    std::filesystem::remove(LedgerPath());
  }
  ~World() {
    KillDriver();
    KillCell();
    std::filesystem::remove(LedgerPath());
  }

  void StartCell() {
    OpenStore();
    cell::HostOptions host;
    host.name = "cell0";
    host.http = {"127.0.0.1", port_};
    host.secret = "secret";
    host.registry = {"127.0.0.1", 1};  // nobody; this cell has no peers
    auto made = cell::CellHost::Create(node, host, table, store_.get());
    ASSERT_TRUE(made.ok()) << made.error();
    cell = std::move(*made);
    port_ = cell->http_address().port;
  }
  void KillCell() {
    cell.reset();
    store_.reset();
    kv_.reset();
  }

  void StartDriver() {
    auto opened = Ledger::Open(LedgerPath(), graph);
    ASSERT_TRUE(opened.ok()) << opened.error();
    ledger = std::move(*opened);
    const GatewayFor gateway = [this](UserId, Endpoint* out) {
      *out = {"127.0.0.1", port_};
      return true;
    };
    if (protocol_ == Protocol::kWs) {
      target_ = std::make_unique<WsTarget>(node, gateway, options.messages_per_frame);
    } else {
      target_ = std::make_unique<HttpTarget>(node, gateway);
    }
    done = false;
    driver = std::make_unique<Driver>(node, options, spec, graph, *target_, ledger.get());
    driver->Start([this] { done = true; });
  }
  void KillDriver() {
    driver.reset();
    target_.reset();
    ledger.reset();
  }

  bool RunUntil(const std::function<bool()>& stop, Nanos limit = 60 * kSecond) {
    const Nanos deadline = SystemClock().Monotonic() + limit;
    while (!stop()) {
      if (SystemClock().Monotonic() > deadline) return false;
      loop_->RunOnce(kMillisecond);
    }
    return true;
  }
  bool RunToDone() {
    return RunUntil([this] { return done; });
  }
  store::Store& store() { return *store_; }

  const WorkloadSpec spec;
  const CellGraph graph;
  const placement::PlacementTable table;

 private:
  // The world, in the order in which it is needed.
  std::unique_ptr<net::RealLoop> loop_;
  Rng rng_;
  Budget budget_;

 public:
  NodeContext node;
  DriveOptions options;
  std::unique_ptr<cell::CellHost> cell;
  std::unique_ptr<Ledger> ledger;
  std::unique_ptr<Driver> driver;
  bool done = false;

 private:
  void OpenStore() {
    kv_ = std::move(*store::OpenMemoryKv(disk_, {}, loop_.get()));
    store_ = std::move(*store::Store::Open(*kv_, 0, {}, nullptr));
  }
  std::string LedgerPath() const {
    return (std::filesystem::temp_directory_path() /
            ("drive_test_" + std::to_string(getpid()) + ".ledger"))
        .string();
  }

  const Protocol protocol_;
  store::MemoryDisk disk_;
  std::unique_ptr<store::Kv> kv_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Target> target_;
  std::uint16_t port_ = 0;
};

}  // namespace baiwan::stress
