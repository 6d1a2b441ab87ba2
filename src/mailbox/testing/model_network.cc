#include "mailbox/testing/model_network.h"

#include <utility>

namespace baiwan::mailbox::testing {

void ModelNetwork::Disconnect(CellId from, CellId to) {
  Path& p = At(from, to);
  for (const Frame& f : p.said) Remember(f);
  for (const Frame& f : p.answers) Remember(f);
  p = {};
}

void ModelNetwork::Send(CellId from, CellId to, Frame frame) {
  Path& p = At(from, to);
  if (!p.up) return;
  if (frame.kind == Frame::Kind::kForward) ++p.forwards;
  p.said.push_back(std::move(frame));
}

void ModelNetwork::Answer(CellId from, CellId to, Frame frame) {
  Path& p = At(from, to);
  if (p.up) p.answers.push_back(std::move(frame));
}

const Frame* ModelNetwork::Next(CellId from, CellId to, bool answers) const {
  const auto& frames = answers ? At(from, to).answers : At(from, to).said;
  return frames.empty() ? nullptr : &frames.front();
}

Frame ModelNetwork::Take(CellId from, CellId to, bool answers) {
  Path& p = At(from, to);
  auto& frames = answers ? p.answers : p.said;
  Frame frame = std::move(frames.front());
  frames.pop_front();
  if (frame.kind == Frame::Kind::kForward) --p.forwards;
  Remember(frame);
  return frame;
}

void ModelNetwork::SwapAnswers(CellId from, CellId to, Rng& rng) {
  auto& answers = At(from, to).answers;
  if (answers.size() < 2) return;
  const std::size_t at = rng.Below(answers.size() - 1);
  std::swap(answers[at], answers[at + 1]);
}

const Frame* ModelNetwork::Past(Rng& rng) const {
  return past_.empty() ? nullptr : &past_[rng.Below(past_.size())];
}

void ModelNetwork::Remember(const Frame& frame) {
  if (past_.size() < kPast) {
    past_.push_back(frame);
  } else {
    past_[past_at_++ % kPast] = frame;
  }
}

}  // namespace baiwan::mailbox::testing
