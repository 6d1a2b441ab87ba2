// A process of one or more cells: one loop on the main thread, further ones on threads of their
// own.
#include <fmt/format.h>

#include <cstdio>
#include <future>
#include <memory>
#include <mutex>
#include <thread>

#include "cli/cell_loop.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/runtime.h"
#include "cli/store_identity.h"
#include "supervise/ready.h"

namespace baiwan::cli {
namespace {

// A loop beside the first one.
class Worker {
 public:
  // Returns once its cells serve, or why they cannot.
  Worker(const Config& config, const std::string& secret, const Shares& shares, std::int64_t loop,
         Budget& budget) {
    std::promise<std::string> started;
    auto answer = started.get_future();
    thread_ = std::thread(
        [this, &config, &secret, &shares, loop, &budget, started = std::move(started)]() mutable {
          Run(config, secret, shares, loop, budget, started);
        });
    error_ = answer.get();
  }
  ~Worker() {
    if (thread_.joinable()) thread_.join();
  }

  const std::string& error() const { return error_; }
  const std::vector<std::string>& addresses() const { return addresses_; }
  void Stop() {
    const std::lock_guard lock(mutex_);
    if (!error_.empty() || runtime_ == nullptr) return;
    runtime_->loop().Post([this] {
      cells_->Stop([this] { runtime_->loop().Post([this] { runtime_->loop().Stop(); }); });
    });
  }

 private:
  void Run(const Config& config, const std::string& secret, const Shares& shares, std::int64_t loop,
           Budget& budget, std::promise<std::string>& started) {
    auto runtime = Runtime::Create({.name = fmt::format("{}.{}", ProcessName(config), loop),
                                    .shared_budget = &budget,
                                    .take_signals = false,
                                    .loop = LoopOptionsOf(config, shares)});
    if (!runtime) return started.set_value(runtime.error());
    runtime_ = std::move(*runtime);
    auto cells = CellLoop::Create(*runtime_, config, secret, shares, loop);
    if (!cells) return started.set_value(cells.error());
    cells_ = std::move(*cells);
    addresses_ = cells_->addresses();
    started.set_value({});
    runtime_->Run();
    cells_.reset();
    // The loop may stop while whoever stops it is still waking it: it goes once they are done.
    const std::lock_guard lock(mutex_);
    runtime_.reset();
  }

  std::mutex mutex_;  // held while another thread uses runtime_, and while it goes
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<CellLoop> cells_;
  std::vector<std::string> addresses_;
  std::string error_;
  std::thread thread_;
};

int Run(const ConfigArgs& args) {
  const auto config = Load(args, {"gateway", "relay", "logic", "ops"});
  if (!config) return config.error();
  std::string error;
  const std::string secret = LinkSecretOf(*config, &error);
  if (!error.empty()) return Fail(error);
  if (HasRole(*config, "logic")) {
    if (const auto elsewhere = StoreElsewhere(*config)) return Fail(*elsewhere);
  }
  const auto descriptors = ShareDescriptors(*config, DescriptorLimit());
  if (!descriptors) return Fail(descriptors.error());
  const auto memory = ShareMemory(*config);
  if (!memory) return Fail(memory.error());
  const Shares shares{*descriptors, *memory};
  auto runtime = Runtime::Create({.name = ProcessName(*config),
                                  .budget_bytes = config->bytes("process.memory"),
                                  .loop = LoopOptionsOf(*config, shares)});
  if (!runtime) return Fail(runtime.error());
  (*runtime)->node().log.Info("{}", descriptors->ToString());
  (*runtime)->node().log.Info("{}", memory->ToString());
  (*runtime)->node().budget.ChargeAlways(Account::kProgram, memory->program);
  (*runtime)->node().budget.ChargeAlways(Account::kStore, memory->stores);
  if (!descriptors->fits()) (*runtime)->node().log.Warn("{}", descriptors->WayOut());
  auto cells = CellLoop::Create(**runtime, *config, secret, shares, 0);
  if (!cells) return Fail(cells.error());
  std::vector<std::string> addresses = (*cells)->addresses();
  std::vector<std::unique_ptr<Worker>> workers;
  for (std::int64_t loop = 1; loop < config->integer("process.loops"); ++loop) {
    workers.push_back(
        std::make_unique<Worker>(*config, secret, shares, loop, (*runtime)->node().budget));
    if (!workers.back()->error().empty()) {
      const std::string why = workers.back()->error();
      for (const auto& worker : workers) worker->Stop();
      return Fail(why);
    }
    for (const std::string& address : workers.back()->addresses()) addresses.push_back(address);
  }
  (*runtime)->StopWithin(config->duration("process.stop_deadline"));
  (*runtime)->OnStop([&] {
    for (const auto& worker : workers) worker->Stop();
    (*cells)->Stop([&] { (*runtime)->loop().Post([&] { (*runtime)->loop().Stop(); }); });
  });
  std::string text = fmt::format("{}", fmt::join(addresses, " "));
  (*runtime)->node().log.Info("serves at {}", text);
  supervise::NotifyReady(text.substr(0, supervise::kMaxReadyText));
  (*runtime)->Run();
  workers.clear();
  cells->reset();
  return kDone;
}

}  // namespace

Command ServeCommand() {
  return {"serve", "Serves one or more cells: gateway, logic server, relay, store.",
          "  baiwan serve --config baiwan.toml\n"
          "  baiwan serve --set link.secret_file=link.secret --set store.path=data\n"
          "  baiwan serve --set cell.roles=gateway --set gateway.http=127.0.0.1:9501\n"
          "  baiwan config describe          # every setting, with its default\n",
          [](Args& args) {
            auto options = std::make_shared<ConfigArgs>();
            AddConfigArgs(args, options.get());
            return [options] { return Run(*options); };
          }};
}

}  // namespace baiwan::cli
