#include "stress/driver.h"

#include <algorithm>

#include "stress/player.h"

namespace baiwan::stress {
namespace {

constexpr Nanos kClosedTick = 10 * kMillisecond;
constexpr Nanos kOpenTick = kMillisecond;

}  // namespace

Driver::Driver(NodeContext& node, const DriveOptions& options, const WorkloadSpec& spec,
               const CellGraph& graph, Target& target, Ledger* ledger)
    : node_(node),
      options_(options),
      spec_(spec),
      graph_(graph),
      target_(target),
      ledger_(ledger) {
  counters_.users = graph.users();
  players_.resize(graph.users());
}

Driver::~Driver() {
  *alive_ = false;
  node_.loop.Cancel(tick_);
}

void Driver::Start(std::function<void()> done) {
  done_ = std::move(done);
  for (std::uint32_t i = 0; i < graph_.users(); ++i) {
    counters_.messages += MessagesOf(spec_, graph_.friends(i).size());
  }
  schedule_from_ = node_.clock.Monotonic();
  Fill();
  Tick();
}

void Driver::Fill() {
  while (playing_ < options_.concurrency && next_user_ < players_.size()) {
    const std::uint32_t index = next_user_++;
    ++playing_;
    ++counters_.users_started;
    players_[index] = std::make_unique<Player>(*this, index);
    active_.push_back(index);
    players_[index]->Begin();
  }
}

void Driver::SlotFree() {
  --playing_;
  ++counters_.users_stored;
}

void Driver::Finished(Player& player) {
  ++counters_.users_finished;
  finished_.push_back(std::move(players_[player.index()]));
  if (finished_.size() > 1) return;
  node_.loop.Post([this, alive = alive_] {
    if (!*alive) return;
    finished_.clear();
    Fill();
    if (counters_.users_finished == counters_.users && done_) std::exchange(done_, nullptr)();
  });
}

bool Driver::TakeRetry() {
  const auto allowed =
      1000 + static_cast<std::uint64_t>(options_.retry_share * static_cast<double>(counters_.submitted));
  if (retries_ >= allowed) return false;
  ++retries_;
  return true;
}

void Driver::Tick() {
  if (options_.rate > 0) Schedule();
  const Nanos now = node_.clock.Monotonic();
  std::erase_if(active_, [this](std::uint32_t i) { return players_[i] == nullptr; });
  for (std::size_t i = 0; i < active_.size(); ++i) {
    if (Player* player = players_[active_[i]].get()) player->OnTick(now);
  }
  Fill();
  if (counters_.users_finished == counters_.users && done_) {
    node_.loop.Post(std::exchange(done_, nullptr));
    return;
  }
  tick_ = node_.loop.After(options_.rate > 0 ? kOpenTick : kClosedTick, [this] { Tick(); });
}

// What is due by now goes to the playing users in turn.
void Driver::Schedule() {
  const Nanos now = node_.clock.Monotonic();
  const auto due = static_cast<std::uint64_t>(static_cast<double>(now - schedule_from_) /
                                              kSecond * options_.rate);
  std::size_t idle = 0;
  while (scheduled_ < due && idle < active_.size()) {
    if (robin_ >= active_.size()) robin_ = 0;
    Player* player = players_[active_[robin_++]].get();
    const auto when = schedule_from_ + static_cast<Nanos>(static_cast<double>(scheduled_) *
                                                          kSecond / options_.rate);
    if (player == nullptr || !player->Due(when)) {
      ++idle;
      continue;
    }
    idle = 0;
    ++scheduled_;
  }
}

void Driver::WriteMetrics(MetricsSink& sink) const {
  const DriveCounters& c = counters_;
  sink.Gauge("drive_users", "users of this cell", static_cast<double>(c.users));
  sink.Gauge("drive_messages", "messages that they will send", static_cast<double>(c.messages));
  sink.Counter("drive_users_started_total", "users that have begun", c.users_started);
  sink.Counter("drive_users_stored_total", "users all of whose messages are stored",
               c.users_stored);
  sink.Counter("drive_users_finished_total", "users all of whose messages are with the friends",
               c.users_finished);
  sink.Counter("drive_submitted_total", "messages submitted, repeats included", c.submitted);
  sink.Counter("drive_repeated_total", "of these, repeats", c.repeated);
  sink.Counter("drive_stored_total", "messages known to be stored", c.stored);
  sink.Counter("drive_delivered_total", "messages known to be with the friends", c.delivered);
  sink.Counter("drive_connects_total", "connections made", c.connects);
  sink.Counter("drive_disconnects_total", "connections lost", c.disconnects);
  sink.Counter("drive_polls_total", "times that counters were asked for", c.polls);
  for (const auto& [code, count] : c.refused) {
    sink.Counter("drive_refused_total", "refusals, by code", static_cast<double>(count),
                 fmt::format("code=\"{}\"", code));
  }
}

}  // namespace baiwan::stress
