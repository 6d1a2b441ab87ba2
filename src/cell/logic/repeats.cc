// A message that comes again while the first of its number is on its way to the disk. Only the
// content says whether it is the same, and it is at hand when the commit is durable; until then the
// repeat waits, charged like what waits for its number.
#include <algorithm>
#include <iterator>
#include <utility>

#include "cell/logic/logic.h"

namespace baiwan::cell {
namespace {

constexpr std::size_t kRepeatBytes = 160;  // beside its body

}  // namespace

void Logic::CompareLater(Resident& r, ClientPort& from, SessionId session,
                         const wire::Submit& submit, std::uint64_t request_id) {
  const std::size_t bytes = submit.body().size() + kRepeatBytes;
  const bool room = r.repeat_bytes < options_.mailbox.window_bytes &&
                    node_.budget.Charge(Account::kReorder, bytes);
  if (!room) {
    return Refuse(&r, from, session, request_id, submit.send_id(), wire::REASON_OVERLOADED);
  }
  node_.budget.Release(Account::kReorder, bytes);
  r.repeat_bytes += bytes;
  Recharge(r);
  r.repeats.push_back({&from, session, request_id, submit, bytes});
}

void Logic::CompareRepeats(Resident& r) {
  if (r.repeats.empty()) return;
  const Seq stored = r.user.counters().send_id;
  const auto rest = std::stable_partition(
      r.repeats.begin(), r.repeats.end(),
      [stored](const Repeat& repeat) { return repeat.submit.send_id() <= stored; });
  std::vector<Repeat> due(std::make_move_iterator(r.repeats.begin()),
                          std::make_move_iterator(rest));
  r.repeats.erase(r.repeats.begin(), rest);
  for (std::size_t i = 0; i < due.size(); ++i) {
    Repeat& repeat = due[i];
    r.repeat_bytes -= repeat.bytes;
    old_.push_back({repeat.submit.send_id(), repeat.submit.friend_(),
                    std::move(*repeat.submit.mutable_body()), repeat.submit.is_void()});
    const bool same_frame = i + 1 < due.size() && due[i + 1].port == repeat.port &&
                            due[i + 1].session == repeat.session &&
                            due[i + 1].request_id == repeat.request_id;
    if (!same_frame) CompareWithOutbox(r, *repeat.port, repeat.session, repeat.request_id);
  }
}

}  // namespace baiwan::cell
