// The paths between the cells of a model world, each cell's path to itself included.
//
// A path has a direction: the sender's cell says forwards and offers, the receiver's cell answers.
// Within a session everything arrives, in order; when the session ends, what is under way is lost,
// but any frame that was ever said may come again, late. Pure; one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/ids.h"
#include "base/rng.h"
#include "mailbox/testing/model_disk.h"

namespace baiwan::mailbox::testing {

struct Frame {
  enum class Kind : std::uint8_t { kForward, kOffer, kAck, kGap } kind = Kind::kForward;
  UserId sender = 0;
  UserId receiver = 0;
  Seq a = 0;  // first of an offer; upto of an ack; next of a gap
  Seq b = 0;  // last of an offer
  StoredMessage message = {};

  bool answer() const { return kind == Kind::kAck || kind == Kind::kGap; }
};

class ModelNetwork {
 public:
  explicit ModelNetwork(std::uint32_t cells) : cells_(cells), paths_(cells * cells) {}

  bool up(CellId from, CellId to) const { return At(from, to).up; }
  void Connect(CellId from, CellId to) { At(from, to).up = true; }
  void Disconnect(CellId from, CellId to);
  std::uint32_t forwards_under_way(CellId from, CellId to) const { return At(from, to).forwards; }

  void Send(CellId from, CellId to, Frame frame);
  // `from` → `to` is the path that is answered. Dropped if it is down.
  void Answer(CellId from, CellId to, Frame frame);
  const Frame* Next(CellId from, CellId to, bool answers) const;
  Frame Take(CellId from, CellId to, bool answers);
  // Two answers that follow each other change places.
  void SwapAnswers(CellId from, CellId to, Rng& rng);
  // Something that was said once, or null.
  const Frame* Past(Rng& rng) const;

 private:
  struct Path {
    bool up = false;
    std::uint32_t forwards = 0;
    std::deque<Frame> said;
    std::deque<Frame> answers;
  };
  static constexpr std::size_t kPast = 64;

  Path& At(CellId from, CellId to) { return paths_[from * cells_ + to]; }
  const Path& At(CellId from, CellId to) const { return paths_[from * cells_ + to]; }
  void Remember(const Frame& frame);

  std::uint32_t cells_;
  std::vector<Path> paths_;
  std::vector<Frame> past_;
  std::size_t past_at_ = 0;
};

}  // namespace baiwan::mailbox::testing
