#include "monitor/roll_call.h"

#include <algorithm>

namespace baiwan::monitor {

bool IsDone(const Values& values) {
  const double users = ValueOf(values, "drive_users");
  return users > 0 && ValueOf(values, "drive_users_finished_total") >= users;
}

void RollCall::Take(const std::vector<Look>& looks) {
  for (auto& [id, known] : known_) known.answers = false;
  alive_ = left_ = 0;
  missing_.clear();
  for (const Look& look : looks) {
    const std::string id = look.process.id();
    if (known_.size() >= kMaxKnown && known_.count(id) == 0) continue;
    Known& known = known_[id];
    known.name = look.process.name;
    known.answers = look.error.empty();
    if (!known.answers) continue;
    known.done = IsDone(look.values);
    ++alive_;
  }
  for (const auto& [id, known] : known_) {
    if (known.answers) continue;
    if (known.done || ended_.count(known.name) > 0) {
      ++left_;
    } else {
      missing_.push_back(known.name);
    }
  }
}

std::uint32_t RollCall::expected() const {
  if (told_ == 0) return alive_ + static_cast<std::uint32_t>(missing_.size());
  return std::max(told_, left_) - left_;
}

}  // namespace baiwan::monitor
