#include "sim/node.h"

#include <fmt/format.h>

#include <utility>

namespace baiwan::sim {

namespace {

constexpr std::uint64_t kPurpose = 0x6E6F'6465'0000'0000;
constexpr Nanos kMaxUptime = 1000 * kSecond;
constexpr Nanos kStopDeadline = 10 * kSecond;

// One draw after the other: in which order arguments are evaluated is the compiler's choice, and a
// seed is one run whatever compiled it.
SimClock ClockFrom(const Timeline& timeline, Rng& rng, int max_skew_ppm) {
  const Nanos uptime = Between(rng, 0, kMaxUptime);
  const auto skew_ppm = static_cast<int>(Between(rng, -max_skew_ppm, max_skew_ppm));
  return {timeline, uptime, skew_ppm};
}

}  // namespace

class Node::LifeFatal final : public Fatal {
 public:
  LifeFatal(Timeline& timeline, std::shared_ptr<Life> life)
      : timeline_(timeline), life_(std::move(life)) {}
  void Die(std::string_view why) override {
    if (!life_->alive) return;
    life_->alive = false;  // its loop ends the turn after the current callback
    life_->why = why;
    timeline_.NoteLine(life_->node, What::kFault, fmt::format("fatal: {}", why));
  }

 private:
  Timeline& timeline_;
  const std::shared_ptr<Life> life_;
};

class Node::LifeLog final : public Log {
 public:
  LifeLog(Timeline& timeline, std::shared_ptr<Life> life)
      : timeline_(timeline), life_(std::move(life)) {}
  void Write(LogLevel level, std::string_view line) override {
    static constexpr const char* kLevels[] = {"debug", "info", "warn", "error"};
    if (!life_->alive) return;
    timeline_.NoteLine(life_->node, What::kLog,
                       fmt::format("{}: {}", kLevels[static_cast<int>(level)], line));
  }

 private:
  Timeline& timeline_;
  const std::shared_ptr<Life> life_;
};

Node::Run::Run(Node& node)
    : life(std::make_shared<Life>(Life{node.id_, node.lives_, true, {}})),
      loop(node.timeline_, life, node.clock_, node.options_.loop, Rng(node.rng_.Next()),
           [&node] { node.Bury(); }),
      transport(node.timeline_, node.network_, node.options_.network, loop, life,
                Rng(node.rng_.Next())),
      kv(node.disk_, loop, life),
      rng(node.rng_.Next()),
      budget(node.options_.budget),
      fatal(std::make_unique<LifeFatal>(node.timeline_, life)),
      log(std::make_unique<LifeLog>(node.timeline_, life)),
      context{loop, transport, node.clock_, rng, budget, *fatal, *log} {
  loop.SetSockets(&transport);
}

void Node::Run::Drop() {
  life->alive = false;
  loop.DropWork();
  transport.DropWork();
  kv.Crash();
  program.reset();
  loop.DropWork();
}

Node::Node(Timeline& timeline, Network& network, NodeId id, std::string name,
           const NodeOptions& options, BootFn boot)
    : timeline_(timeline),
      network_(network),
      id_(id),
      name_(std::move(name)),
      options_(options),
      boot_(std::move(boot)),
      rng_(timeline.RngFor(kPurpose + id)),
      clock_(ClockFrom(timeline, rng_, options.max_skew_ppm)),
      disk_(timeline, options.disk, Rng(rng_.Next())) {}

Node::~Node() {
  if (run_ != nullptr) run_->Drop();
}

void Node::Post(std::function<void()> work) {
  if (up()) run_->loop.Post(std::move(work));
}

void Node::Boot() {
  if (run_ != nullptr) return;
  ++lives_;
  timeline_.Note(id_, What::kBoot, lives_);
  crash_mode_ = CrashMode::kProcess;
  run_ = std::make_unique<Run>(*this);
  network_.Boot(id_, &run_->transport);
  const bool lives = run_->loop.Boot([this] {
    run_->program = boot_(*this);
    if (run_->program == nullptr && run_->life->alive) {
      run_->life->alive = false;
      run_->life->why = "the factory made nothing";
    }
  });
  if (!lives) Bury();
}

void Node::Crash(CrashMode mode) {
  if (!up()) return;
  run_->life->alive = false;
  run_->life->why = "crash";
  crash_mode_ = mode;
  if (!run_->loop.in_turn()) Bury();  // else its loop does, after the current callback
}

void Node::Stop() {
  if (!up()) return;
  Post([this, life = run_->life] {
    timeline_.In(kStopDeadline, [this, life] {
      if (life->alive) Crash(CrashMode::kProcess);
    });
    // Its program may not go while it says that it is done.
    const auto end = [this, life] {
      if (life->alive) run_->loop.Post([this] { Crash(CrashMode::kProcess); });
    };
    if (run_->program != nullptr) run_->program->Stop(end);
  });
}

void Node::CrashAfter(std::uint64_t steps, CrashMode mode) {
  if (!up()) return;
  crash_mode_ = mode;
  run_->loop.DieAfter(steps);
}

void Node::Bury() {
  timeline_.Note(id_, What::kCrash, lives_, static_cast<std::uint64_t>(crash_mode_));
  last_words_ = run_->life->why;
  network_.Crash(id_, crash_mode_);
  run_->Drop();
  run_.reset();
  if (on_death_) on_death_();
}

}  // namespace baiwan::sim
