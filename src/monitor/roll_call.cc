#include "monitor/roll_call.h"

#include <fmt/format.h>

#include <algorithm>

namespace baiwan::monitor {

bool IsDone(const Values& values) {
  const double users = ValueOf(values, "drive_users");
  return users > 0 && ValueOf(values, "drive_users_finished_total") >= users;
}

std::string MachineProcess(const Process& process, const Values& values) {
  const double pid = ValueOf(values, "process_id");
  if (pid <= 0) return process.id();
  return fmt::format("{} {:.0f}", process.ops.host, std::min(pid, 1e15));
}

void RollCall::Take(const std::vector<Look>& looks, const std::set<std::string>& withdrawn) {
  for (auto& [id, known] : known_) known.answers = false;
  left_ = 0;
  missing_.clear();
  std::set<std::string> alive;
  std::set<std::string> silent;
  for (const Look& look : looks) {
    const std::string id = look.process.id();
    if (known_.size() >= kMaxKnown && known_.count(id) == 0) continue;
    Known& known = known_[id];
    known.name = look.process.name;
    known.answers = look.error.empty();
    if (!known.answers) continue;
    known.done = IsDone(look.values);
    known.process = MachineProcess(look.process, look.values);
    alive.insert(known.process);
  }
  for (const auto& [id, known] : known_) {
    if (known.answers) continue;
    if (known.done || ended_.count(known.name) > 0 || withdrawn.count(id) > 0) {
      ++left_;
    } else {
      missing_.push_back(known.name);
      silent.insert(known.process.empty() ? id : known.process);
    }
  }
  for (const std::string& process : alive) silent.erase(process);
  alive_ = static_cast<std::uint32_t>(alive.size());
  silent_ = static_cast<std::uint32_t>(silent.size());
}

std::uint32_t RollCall::expected() const {
  if (told_ == 0) return alive_ + silent_;
  return std::max(told_, left_) - left_;
}

}  // namespace baiwan::monitor
