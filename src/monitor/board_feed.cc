#include "monitor/board_feed.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace baiwan::monitor {
namespace {

constexpr Nanos kWithdrawnWithin = 8 * kSecond;  // less than a lease of the registry

// Numbers come from other processes: counts must stay counts, also when summed up.
std::uint64_t Count(double value) {
  return value > 0 ? static_cast<std::uint64_t>(std::min(value, 1e15)) : 0;
}

double Cpu(const Values& values) {
  return ValueOf(values, "process_cpu_user_seconds_total") +
         ValueOf(values, "process_cpu_system_seconds_total");
}

}  // namespace

void BoardKeeper::Update(Seen& seen, const Look& look, Nanos now) {
  const bool first = seen.at == 0;
  const double seconds = static_cast<double>(now - seen.at) / kSecond;
  const auto rate = [&](double before, double after) {
    return first || seconds <= 0 ? 0 : Increase(before, after) / seconds;
  };
  const Values& was = seen.values;
  const Values& is = look.values;
  const auto rate_of = [&](const char* name) {
    return rate(ValueOf(was, name), ValueOf(is, name));
  };
  seen.stored = rate_of("stored_total");
  seen.delivered = rate_of("delivered_total");
  seen.client_stored = rate_of("drive_stored_total");
  seen.client_delivered = rate_of("drive_delivered_total");
  seen.refused = rate(SumOf(was, "refused_total"), SumOf(is, "refused_total"));
  seen.cores = rate(Cpu(was), Cpu(is));
  const double finished_before = ValueOf(was, "drive_users_finished_total");
  const double finished = ValueOf(is, "drive_users_finished_total");
  seen.gained = first || finished < finished_before ? 0 : finished - finished_before;
  seen.process = look.process;
  seen.values = is;
  seen.at = now;
  seen.answers = true;
}

void BoardKeeper::Take(const std::vector<Look>& looks, Nanos now, const CpuTimes& cpu) {
  withdrawn_ = Withdrawn(looks, now);
  roll_call_.Take(looks, withdrawn_);
  for (auto& [id, seen] : seen_) seen.answers = false;
  for (const Look& look : looks) {
    const std::string id = look.process.id();
    if (!look.error.empty() || (seen_.size() >= RollCall::kMaxKnown && seen_.count(id) == 0)) {
      continue;
    }
    Update(seen_[id], look, now);
  }
  for (auto& [id, seen] : seen_) {
    if (!seen.answers && seen.process.has("load") && ended_.count(seen.process.name) > 0) {
      Finish(seen);
    }
  }
  const BoardState before = std::exchange(state_, {});
  double began = 0;  // seconds ago, as the load clients know
  for (const auto& [id, seen] : seen_) {
    if (!seen.process.has("load")) continue;
    AddLoad(seen);
    if (began_ == 0 && ValueOf(seen.values, "drive_users_started_total") > 0) {
      began = std::max(began, ValueOf(seen.values, "process_uptime_seconds"));
    }
  }
  state_.users = std::max(state_.users, users_);
  state_.messages = std::max(state_.messages, messages_);
  if (began > 0) began_ = now - static_cast<Nanos>(std::min(began, 1e9) * kSecond);
  state_.seconds = began_ == 0 ? 0 : static_cast<double>(now - began_) / kSecond;
  if (before.done() && state_.done()) state_.seconds = before.seconds;
  AddProcesses();
  AddRefusals();
  AddHosts(looks, now);
  state_.alive = roll_call_.alive();
  state_.expected = roll_call_.expected();
  state_.missing = roll_call_.missing();
  const CpuUse use = Between(cpu_, cpu);
  state_.cpus = cpu.cpus;
  if (cpu_.total > 0) {
    state_.busy = use.busy;
    state_.steal = use.steal;
  }
  cpu_ = cpu;
}

// A load client that ends withdraws from the registry, and is not asked any more before anybody has
// said that it ended well. One that is killed stays listed until its lease is over, and by then its
// last answer is older.
std::set<std::string> BoardKeeper::Withdrawn(const std::vector<Look>& looks, Nanos now) const {
  std::set<std::string> withdrawn;
  for (const auto& [id, seen] : seen_) {
    if (seen.process.has("load") && now - seen.at < kWithdrawnWithin) withdrawn.insert(id);
  }
  for (const Look& look : looks) withdrawn.erase(look.process.id());
  return withdrawn;
}

void BoardKeeper::Finish(Seen& seen) {
  Values& v = seen.values;
  v["drive_users_finished_total"] = ValueOf(v, "drive_users");
  v["drive_stored_total"] = v["drive_delivered_total"] = ValueOf(v, "drive_messages");
}

void BoardKeeper::AddLoad(const Seen& seen) {
  const Values& v = seen.values;
  state_.users += Count(ValueOf(v, "drive_users"));
  state_.finished += Count(ValueOf(v, "drive_users_finished_total"));
  state_.messages += Count(ValueOf(v, "drive_messages"));
  state_.stored += Count(ValueOf(v, "drive_stored_total"));
  state_.delivered += Count(ValueOf(v, "drive_delivered_total"));
  state_.cells.push_back({seen.process.endpoint.ToString(),
                          Count(ValueOf(v, "drive_users_finished_total")),
                          seen.answers ? Count(seen.gained) : 0,
                          seen.answers || IsDone(v) || withdrawn_.count(seen.process.id()) > 0});
}

void BoardKeeper::AddProcesses() {
  bool servers = false;
  double client_stored = 0;
  double client_delivered = 0;
  std::map<std::string, BoardState::Role> roles;
  std::set<std::string> counted;
  for (const auto& [id, seen] : seen_) {
    if (!seen.answers) continue;
    servers = servers || seen.values.count("stored_total") > 0;
    state_.stored_rate += seen.stored;
    state_.delivered_rate += seen.delivered;
    client_stored += seen.client_stored;
    client_delivered += seen.client_delivered;
    if (!counted.insert(MachineProcess(seen.process, seen.values)).second) continue;
    BoardState::Role& role = roles[seen.process.kind()];
    ++role.processes;
    role.cores += seen.cores;
  }
  if (!servers) {  // a backend that is not ours: only its clients tell
    state_.stored_rate = client_stored;
    state_.delivered_rate = client_delivered;
  }
  for (auto& [name, role] : roles) {
    role.name = name;
    state_.roles.push_back(role);
  }
}

void BoardKeeper::AddRefusals() {
  std::map<std::string, std::uint64_t> reasons;
  for (const auto& [id, seen] : seen_) {
    state_.refused += Count(SumOf(seen.values, "refused_total"));
    if (seen.answers) state_.refused_rate += seen.refused;
    ForEachLabel(seen.values, "refused_total", [&](std::string_view reason, double value) {
      if (value > 0) reasons[std::string(reason)] += Count(value);
    });
  }
  state_.reasons.assign(reasons.begin(), reasons.end());
  std::stable_sort(state_.reasons.begin(), state_.reasons.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
}

void BoardKeeper::AddHosts(const std::vector<Look>& looks, Nanos now) {
  for (auto& [name, host] : hosts_) host.answers = false;
  std::set<std::string> asked;
  std::size_t bytes = 0;
  for (const Look& look : looks) {
    asked.insert(look.process.ops.host);
    bytes += look.bytes;
    const auto facts = HostFactsOf(look.values);
    if (!facts || (hosts_.size() >= kMostHosts && hosts_.count(facts->name) == 0)) continue;
    hosts_[facts->name] = tracker_.Take(*facts);
  }
  for (const auto& [name, host] : hosts_) state_.hosts.push_back(host);
  const Nanos since = now - std::exchange(looked_at_, now);
  if (since <= 0 || since == now || asked.empty()) return;
  state_.fetched_per_host = static_cast<double>(bytes) * kSecond / static_cast<double>(since) /
                            static_cast<double>(asked.size());
}

BoardFeed::BoardFeed(NodeContext& node, const registry::Directory& directory,
                     const BoardFeedOptions& options, std::function<void()> on_beat)
    : node_(node),
      options_(options),
      on_beat_(std::move(on_beat)),
      poll_(node, directory, options.poll),
      keeper_(options.expected, options.users, options.messages),
      started_(node.clock.Monotonic()) {
  Tick();
}

// Fixed beats: how long a look takes does not move them.
void BoardFeed::Tick() {
  const Nanos since = node_.clock.Monotonic() - started_;
  timer_ = node_.loop.After(options_.interval - since % options_.interval, [this] { Tick(); });
  LookNow();
}

void BoardFeed::LookNow() {
  if (poll_.busy()) return;
  poll_.Start([this](const std::vector<Look>& looks) {
    keeper_.Take(looks, node_.clock.Monotonic(), ReadCpuTimes());
    ++beats_;
    if (on_beat_) on_beat_();
  });
}

}  // namespace baiwan::monitor
