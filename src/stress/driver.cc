#include "stress/driver.h"

#include <algorithm>
#include <utility>

#include "stress/offer.h"
#include "stress/player.h"

namespace baiwan::stress {
namespace {

constexpr Nanos kClosedTick = 5 * kMillisecond;
constexpr Nanos kOpenTick = kMillisecond;
constexpr Nanos kSweepEvery = kSecond;
constexpr Nanos kWaitForFirst = kSecond;  // open loop: for the first users to be connected

}  // namespace

Driver::Driver(NodeContext& node, const DriveOptions& options, const WorkloadSpec& spec,
               const CellGraph& graph, Target& target, Ledger* ledger)
    : node_(node),
      options_(options),
      spec_(spec),
      graph_(graph),
      target_(target),
      ledger_(ledger),
      retries_(options.retries_saved) {
  players_.resize(graph.users());
  counters_.users = graph.users();
  CountTold();
}

Driver::~Driver() {
  *alive_ = false;
  node_.loop.Cancel(tick_);
}

// What the ledger knows is known from the beginning, also of users whose turn has not come.
void Driver::CountTold() {
  for (std::uint32_t i = 0; i < graph_.users(); ++i) {
    const std::uint64_t total = MessagesOf(spec_, graph_.friends(i).size());
    counters_.messages += total;
    if (ledger_ == nullptr) continue;
    counters_.stored += std::min(ledger_->told(i).send_id, total);
    counters_.delivered += std::min(ledger_->told(i).send_ack_id, total);
  }
}

void Driver::Start(std::function<void()> done) {
  done_ = std::move(done);
  started_ = swept_ = retries_at_ = node_.clock.Monotonic();
  SettleSoon();
  Tick();
}

void Driver::Fill() {
  while (playing_ < options_.concurrency && connections_ < options_.max_connections &&
         next_user_ < players_.size()) {
    const std::uint32_t index = next_user_++;
    ++counters_.users_started;
    if (graph_.friends(index).empty()) {  // nothing to say to anybody
      ++counters_.users_stored;
      ++counters_.users_finished;
      continue;
    }
    ++playing_;
    ++connections_;
    players_[index] = std::make_unique<Player>(*this, index);
    active_.push_back(index);
    players_[index]->Connect();
  }
}

void Driver::SlotFree() {
  --playing_;
  SettleSoon();
}

void Driver::Ended(Player& player) {
  --connections_;
  if (player.failed()) {
    ++counters_.users_failed;
    if (player.slot_held()) --playing_;
  } else {
    ++counters_.users_finished;
  }
  ended_.push_back(std::move(players_[player.index()]));
  SettleSoon();
}

// Outside of all callbacks: buries who has ended, begins who is next, and sees whether that was
// all.
void Driver::SettleSoon() {
  if (std::exchange(settle_posted_, true)) return;
  node_.loop.Post([this, alive = alive_] {
    if (!*alive) return;
    settle_posted_ = false;
    ended_.clear();
    if (broken_.empty()) Fill();
    const bool all = counters_.users_finished + counters_.users_failed >= counters_.users;
    if (!all && broken_.empty()) return;
    node_.loop.Cancel(std::exchange(tick_, 0));
    if (done_) std::exchange(done_, nullptr)();
  });
}

// A retry may be made for every 1 / retry_share submissions, and retries_per_s of them in any case,
// so that nothing waits for ever.
bool Driver::TakeRetry(Nanos now) {
  retries_ += static_cast<double>(now - retries_at_) / kSecond * options_.retries_per_s +
              static_cast<double>(counters_.submitted - retries_for_) * options_.retry_share;
  retries_ = std::min(retries_, static_cast<double>(options_.retries_saved));
  retries_at_ = now;
  retries_for_ = counters_.submitted;
  if (retries_ < 1) return false;
  retries_ -= 1;
  return true;
}

void Driver::Tick() {
  const Nanos now = node_.clock.Monotonic();
  if (tick_due_ != 0) loop_lag_.Add(now - tick_due_);
  if (options_.rate > 0) Schedule(now);
  while (!wakes_.empty() && wakes_.top().at <= now) {
    const std::uint32_t index = wakes_.top().index;
    wakes_.pop();
    if (Player* player = players_[index].get()) player->OnWake(now);
  }
  if (now - swept_ >= kSweepEvery) {
    swept_ = now;
    Sweep(now);
    LookForConnections(now);
  }
  if (now >= progress_due_) TakeProgress(now);
  const Nanos pause = options_.rate > 0 ? kOpenTick : kClosedTick;
  tick_due_ = node_.clock.Monotonic() + pause;
  tick_ = node_.loop.After(pause, [this] { Tick(); });
}

void Driver::Sweep(Nanos now) {
  std::erase_if(active_, [this](std::uint32_t i) { return players_[i] == nullptr; });
  for (const std::uint32_t index : active_) {
    if (Player* player = players_[index].get()) player->OnSweep(now);
  }
}

// What is due by now goes to the connected users in turn. The schedule runs on when none of them
// can take more: whoever comes later takes over what has been due since.
void Driver::Schedule(Nanos now) {
  if (schedule_from_ == 0) {
    const std::size_t first = std::min<std::size_t>(options_.concurrency, players_.size());
    if (robin_.size() < first && now - started_ < kWaitForFirst) return;
    schedule_from_ = counters_.first_due = now;
  }
  const auto due = static_cast<std::uint64_t>(static_cast<double>(now - schedule_from_) / kSecond *
                                              options_.rate);
  touched_.clear();
  while (scheduled_ < due && !robin_.empty()) {
    if (robin_at_ >= robin_.size()) robin_at_ = 0;
    const std::uint32_t index = robin_[robin_at_];
    Player* player = players_[index].get();
    const auto when = schedule_from_ +
                      static_cast<Nanos>(static_cast<double>(scheduled_) * kSecond / options_.rate);
    if (player == nullptr || !player->Due(when)) {
      robin_[robin_at_] = robin_.back();
      robin_.pop_back();
      continue;
    }
    if (!std::exchange(player->touched, true)) touched_.push_back(index);
    ++robin_at_;
    ++scheduled_;
    ++counters_.scheduled;
    counters_.scheduled_late += now - when > kOfferedWithin ? 1 : 0;
  }
  for (const std::uint32_t index : touched_) {
    Player* player = players_[index].get();
    if (player == nullptr) continue;
    player->touched = false;
    player->Pump(now);
  }
}

void Driver::TakeProgress(Nanos now) {
  progress_.Add({WallMillis(now), counters_.delivered});
  progress_due_ = now + progress_.every();
}

// Whoever has no port or descriptor left is no judge of anybody: what is missing is named at once,
// and when nothing comes back, that is the end.
void Driver::OutOf(NetError what) {
  const char* name = ErrnoOf(what);
  exhausted_of_ = what;
  if (exhausted_since_ == 0) exhausted_since_ = node_.clock.Monotonic();
  if (counters_.exhausted[name]++ > 0) return;
  node_.log.Error("{} connections are open or wanted, and one more cannot be made: {}",
                  connections_, WayOutOf(name));
}

void Driver::LookForConnections(Nanos now) {
  if (exhausted_since_ == 0 || now - exhausted_since_ < options_.exhausted_for) return;
  if (!broken_.empty()) return;
  broken_ = fmt::format("no connection could be made for {} s: {}",
                        (now - exhausted_since_) / kSecond, WayOutOf(ErrnoOf(exhausted_of_)));
  SettleSoon();
}

std::uint64_t Driver::WallMillis(Nanos monotonic) const {
  if (monotonic == 0) return 0;
  const Nanos ago = node_.clock.Monotonic() - monotonic;
  return node_.clock.WallMillis() - static_cast<std::uint64_t>(ago / kMillisecond);
}

DriveResult Driver::Result() const {
  DriveResult result;
  static_cast<DriveCounts&>(result) = counters_;
  result.first_submit_ms = WallMillis(counters_.first_submit);
  result.last_ack_ms = WallMillis(counters_.last_ack);
  result.first_due_ms = WallMillis(counters_.first_due);
  result.last_offer_ms = WallMillis(counters_.last_offer);
  result.planned_rate = options_.rate;
  result.broken = broken_;
  result.loop_lag = loop_lag_;
  result.progress = progress_;
  result.progress.Add({node_.clock.WallMillis(), counters_.delivered});
  result.stored_latency = stored_latency_;
  result.delivered_latency = delivered_latency_;
  return result;
}

void Driver::WriteMetrics(MetricsSink& sink) const {
  const DriveCounters& c = counters_;
  sink.Gauge("drive_users", "users of this cell", static_cast<double>(c.users));
  sink.Gauge("drive_messages", "messages that they will send", static_cast<double>(c.messages));
  sink.Gauge("drive_users_playing", "users that play now", static_cast<double>(playing_));
  sink.Gauge("drive_connections", "users that play or wait for their friends' acknowledgements",
             static_cast<double>(connections_));
  const auto count = [&sink](const char* name, const char* help, std::uint64_t value) {
    sink.Counter(name, help, static_cast<double>(value));
  };
  count("drive_users_started_total", "users that have begun", c.users_started);
  count("drive_users_stored_total", "users all of whose messages are stored", c.users_stored);
  count("drive_users_finished_total", "users all of whose messages are with the friends",
        c.users_finished);
  count("drive_users_failed_total", "users that gave up", c.users_failed);
  count("drive_submitted_total", "messages submitted, repeats included", c.submitted);
  count("drive_repeated_total", "of these, repeats", c.repeated);
  count("drive_presumed_lost_total", "messages taken by the server but then not stored for long",
        c.presumed_lost);
  count("drive_stored_total", "messages known to be stored", c.stored);
  count("drive_delivered_total", "messages known to be with the friends", c.delivered);
  count("drive_connects_total", "connections made", c.connects);
  count("drive_disconnects_total", "connections lost", c.disconnects);
  count("drive_polls_total", "times that counters were asked for", c.polls);
  count("drive_scheduled_total", "open loop: messages that were due", c.scheduled);
  count("drive_scheduled_late_total", "of these, late by the load client's own doing",
        c.scheduled_late);
  count("drive_offered_total", "open loop: messages handed to a connection, once each", c.offered);
  sink.Gauge("drive_loop_lag_p99_seconds", "how late the load client's own loop was, p99",
             static_cast<double>(loop_lag_.Quantile(0.99)) / kSecond);
  for (const auto& [name, n] : c.exhausted) {
    sink.Counter("drive_exhausted_total", "connections not made for want of it",
                 static_cast<double>(n), fmt::format("errno=\"{}\"", name));
  }
  count("drive_behind_ledger_total", "users for whom the server knew less than it had told",
        c.behind_ledger);
  for (const auto& [code, n] : c.refused) {
    sink.Counter("drive_refused_total", "refusals, by code", static_cast<double>(n),
                 fmt::format("code=\"{}\"", code));
  }
}

}  // namespace baiwan::stress
