#include "net/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

namespace baiwan::net {

void Connection::SetHandler(StreamHandler* handler) {
  handler_ = handler;
  if (state_ != State::kOpen || unread_.empty()) return;
  redeliver_ = true;  // the rest that the old handler left
  core_->MarkReady(*this);
}

std::string* Connection::Output() {
  if (state_ != State::kOpen || send_failed_) return nullptr;
  core_->MarkDirty(*this);
  return &output_.Filling(core_->pool());
}

void Connection::PauseReading() {
  if (state_ != State::kOpen || paused_) return;
  paused_ = true;
  core_->MarkDirty(*this);
}

void Connection::ResumeReading() {
  if (state_ != State::kOpen || !paused_) return;
  paused_ = false;
  redeliver_ = true;
  core_->MarkReady(*this);
  core_->MarkDirty(*this);
}

void Connection::CloseAfterFlush() {
  if (state_ != State::kOpen) return;
  if (send_failed_) {
    Close(send_error_);
  } else {
    BeginDraining();
  }
}

void Connection::BeginDraining() {
  state_ = State::kDraining;
  SetDeadline(core_->options().flush_timeout);
  if (readable) core_->MarkReady(*this);
  core_->MarkDirty(*this);
}

void Connection::Abandon() {
  handler_ = nullptr;
  if (state_ == State::kLingering || state_ == State::kClosed) return;
  told_ = true;
  Close(NetError::kEof);
}

void Connection::Close(NetError error) {
  if (state_ == State::kClosed) return;
  if (state_ == State::kLingering) --core_->lingering;
  state_ = State::kClosed;
  core_->Cancel(std::exchange(deadline_, 0));
  Tell(error);
  core_->Detach(*this);
  core_->Bury(*this);
}

void Connection::Orphan() {
  handler_ = nullptr;
  told_ = true;
  Close(NetError::kEof);
}

void Connection::Tell(NetError error) {
  if (std::exchange(told_, true)) return;
  closed_ = error;
  tell_closed_ = true;
  core_->MarkReady(*this);
}

void Connection::Release() {
  core_->pool().Give(std::move(unread_));
  output_.Release(core_->pool());
}

void Connection::SetDeadline(Nanos delay) {
  core_->Cancel(deadline_);
  deadline_ = core_->After(delay, [this] {
    deadline_ = 0;
    Close(ended_ ? end_ : NetError::kTimeout);
  });
}

bool Connection::WantsRead() const {
  return state_ != State::kClosed && !ended_ && !(paused_ && state_ == State::kOpen);
}

void Connection::Take(std::string_view data) {
  bytes_in_ += data.size();
  core_->counters().bytes_in += data.size();
  ++core_->counters().reads;
  if (state_ != State::kOpen) return;  // nobody wants it any more
  if (!unread_.empty() || paused_) {
    unread_.append(data);
    if (!paused_) OfferUnread();
    return;
  }
  const StreamHandler* const before = handler_;
  const std::size_t used = Offer(data);
  if (state_ != State::kOpen || used == data.size()) return;
  unread_ = core_->pool().Take();
  unread_.assign(data.substr(used));
  if (handler_ != before) {
    redeliver_ = true;
    core_->MarkReady(*this);
  }
  CheckUnread();
}

std::size_t Connection::Offer(std::string_view data) {
  redeliver_ = false;
  if (handler_ == nullptr) return 0;
  return std::min(handler_->OnData(data), data.size());
}

void Connection::OfferUnread() {
  const std::size_t used = Offer(unread_);
  if (state_ != State::kOpen) return;
  if (used == unread_.size()) {
    core_->pool().Give(std::move(unread_));
    return;
  }
  unread_.erase(0, used);
  CheckUnread();
}

void Connection::CheckUnread() {
  if (!paused_ && unread_.size() > limits_.max_unread) Close(NetError::kReadBufferFull);
}

void Connection::EndOfReading(NetError error) {
  if (std::exchange(ended_, true)) return;
  end_ = send_failed_ ? send_error_ : error;
  if (state_ == State::kLingering || (state_ == State::kDraining && error != NetError::kEof)) {
    Close(end_);
  } else {
    core_->MarkReady(*this);
  }
}

void Connection::RunReady() {
  if (tell_closed_) {
    tell_closed_ = false;
    if (StreamHandler* const handler = std::exchange(handler_, nullptr)) handler->OnClosed(closed_);
  }
  if (std::exchange(tell_writable_, false) && state_ == State::kOpen && handler_ != nullptr) {
    handler_->OnWritable();
  }
  if (state_ == State::kOpen && !paused_) {
    if (std::exchange(redeliver_, false) && !unread_.empty()) {
      OfferUnread();
      if (state_ == State::kOpen && ended_) core_->MarkReady(*this);
    } else if (ended_ && !answering_) {
      EndOfInput();
    }
  }
  if (readable && WantsRead()) core_->Read(*this);
}

// In good order: what is unsent still goes out, as far as the other side takes it.
void Connection::EndOfInput() {
  if (end_ != NetError::kEof) return Close(end_);
  answering_ = handler_ != nullptr && handler_->OnEndOfInput();
  if (answering_ || state_ != State::kOpen) return;
  if (output_.unsent() > 0) {
    BeginDraining();
  } else {
    Close(end_);
  }
}

std::string_view Connection::NextToSend() {
  return writable_state() ? output_.NextToSend() : std::string_view();
}

void Connection::NoteLevel() {
  if (output_.unsent() > limits_.high_water) above_high_ = true;
}

void Connection::Sent(std::size_t bytes) {
  NoteLevel();
  output_.Sent(bytes, core_->pool());
  bytes_out_ += bytes;
  core_->counters().bytes_out += bytes;
  ++core_->counters().writes;
  if (above_high_ && (output_.unsent() < limits_.low_water || output_.unsent() == 0)) {
    above_high_ = false;
    tell_writable_ = true;
    core_->MarkReady(*this);
  }
}

void Connection::SendFailed(NetError error) {
  if (!writable_state()) return;
  send_failed_ = true;
  send_error_ = error;
  output_.Release(core_->pool());
  if (ended_ || paused_ || state_ == State::kDraining || error != NetError::kReset) {
    Close(error);
    return;
  }
  readable = true;
  core_->MarkReady(*this);
}

void Connection::Flush() {
  if (state_ == State::kClosed) return;
  if (writable_state() && output_.unsent() > 0) {
    NoteLevel();
    core_->Send(*this);
  }
  if (state_ == State::kDraining && output_.unsent() == 0) Drained();
  if (state_ != State::kClosed) core_->UpdateReading(*this);
}

void Connection::Drained() {
  if (ended_ || core_->lingering >= core_->options().max_lingering) {
    Close(NetError::kEof);
    return;
  }
  shutdown(fd, SHUT_WR);
  ++core_->counters().syscalls;
  state_ = State::kLingering;
  ++core_->lingering;
  SetDeadline(kLingerTime);
  Tell(NetError::kEof);
}

}  // namespace baiwan::net
