#include "sim/stream.h"

#include <utility>

#include "base/checksum.h"

namespace baiwan::sim {

SimStream::SimStream(SimTransport& transport, SocketId socket, Endpoint peer)
    : transport_(transport), socket_(socket), peer_(std::move(peer)) {
  transport_.streams_.emplace(socket_, this);
}

SimStream::~SimStream() {
  transport_.streams_.erase(socket_);
  if (transport_.alive() && !closed_) transport_.network_.Close(socket_, false);
}

void SimStream::SetHandler(StreamHandler* handler) {
  handler_ = handler;
  if (closed_ || handler == nullptr || !transport_.alive()) return;
  hand_again_ = true;  // the rest that the old handler left
  transport_.MarkReady(socket_);
}

void SimStream::Write(std::string_view data) {
  if (closed_ || closing_ || !transport_.alive()) return;
  output_.append(data);
  transport_.MarkDirty(socket_);
}

std::string& SimStream::Output() {
  if (!closed_ && !closing_ && transport_.alive()) transport_.MarkDirty(socket_);
  return output_;
}

void SimStream::ResumeReading() {
  if (!std::exchange(paused_, false) || closed_) return;
  hand_again_ = true;
  transport_.MarkReady(socket_);
}

Endpoint SimStream::local() const { return {transport_.network_.ip(transport_.life_->node), 0}; }

void SimStream::CloseAfterFlush() {
  if (closed_ || closing_) return;
  closing_ = true;
  transport_.MarkDirty(socket_);
  transport_.DrainBy(socket_, kDrainTime);
}

void SimStream::Drop() {
  output_.clear();
  waiting_.clear();
  sent_ = 0;
}

void SimStream::Push() {
  if (closed_ || flushed_) return Drop();
  if (unsent() > limits_.high_water) was_high_ = true;
  waiting_ += output_;
  output_.clear();
  if (sent_ < waiting_.size()) {
    const auto rest = std::string_view(waiting_).substr(sent_);
    const std::size_t sent = transport_.network_.Send(socket_, rest);
    transport_.timeline_.Note(transport_.life_->node, What::kSend, ConnectionOf(socket_),
                              std::uint64_t{sent} << 32 | Crc32c(rest.substr(0, sent)));
    bytes_out_ += sent;
    sent_ += sent;
    if (sent_ > waiting_.size() / 2) waiting_.erase(0, std::exchange(sent_, 0));
  }
  if (was_high_ && (unsent() < limits_.low_water || unsent() == 0)) {
    was_high_ = false;
    tell_writable_ = true;
    transport_.MarkReady(socket_);
  }
  if (closing_ && unsent() == 0) {
    flushed_ = true;
    transport_.network_.Close(socket_, true);
    transport_.MarkReady(socket_);
  }
}

SimListener::SimListener(SimTransport& transport, Endpoint local, AcceptFn on_accept)
    : transport_(transport),
      local_(std::move(local)),
      on_accept_(std::make_shared<AcceptFn>(std::move(on_accept))) {
  transport_.listeners_.emplace(local_.port, this);
}

SimListener::~SimListener() {
  transport_.listeners_.erase(local_.port);
  if (!transport_.alive()) return;
  for (const SocketId socket : backlog_) transport_.network_.Close(socket, false);
}

void SimListener::Resume() {
  if (std::exchange(paused_, false)) transport_.MarkListenerReady(local_.port);
}

}  // namespace baiwan::sim
