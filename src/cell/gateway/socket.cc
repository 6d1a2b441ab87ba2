#include "cell/gateway/socket.h"

#include <google/protobuf/util/json_util.h>

#include "cell/gateway/json.h"
#include "wire/reuse.h"

namespace baiwan::cell {

void Gateway::Socket::Send(const wire::ServerFrame& frame) {
  if (closing_ || socket_ == nullptr) return;
  std::string& text = gateway_.text_;
  text.clear();
  if (json_) {
    if (!google::protobuf::util::MessageToJsonString(frame, &text).ok()) return;
    socket_->SendText(text);
  } else {
    frame.AppendToString(&text);
    socket_->SendBinary(text);
  }
  if (!frame.close().empty()) {
    const bool says = frame.close_code() >= 1000 && frame.close_code() < 5000;
    return Close(says ? static_cast<std::uint16_t>(frame.close_code()) : 1008, frame.close());
  }
  if (!paused_ && socket_->unsent() > gateway_.options_.push_high_water) {
    paused_ = true;
    gateway_.OnSocketPaused(id_, true);
  }
}

void Gateway::Socket::Close(std::uint16_t code, std::string_view reason) {
  if (closing_ || socket_ == nullptr) return;
  closing_ = true;
  socket_->Close(code, reason.substr(0, 123));  // RFC 6455: a control frame has at most 125 bytes
}

void Gateway::Socket::Asks(std::uint32_t questions) {
  questions_ += questions;
  if (held_ || questions_ < gateway_.options_.max_questions || questions == 0) return;
  held_ = true;
  socket_->PauseReading();
}

void Gateway::Socket::Answered() {
  --questions_;
  if (!held_ || questions_ > gateway_.options_.max_questions / 2) return;
  held_ = false;
  if (socket_ != nullptr) socket_->ResumeReading();
}

void Gateway::Socket::OnMessage(bool is_text, std::string_view data) {
  if (closing_) return;
  wire::ClientFrame& frame = gateway_.frame_;
  frame.Clear();
  bool good;
  if (is_text) {
    json_ = true;
    good = ParseClientFrame(data, &frame);
  } else {
    good = frame.ParseFromArray(data.data(), static_cast<int>(data.size()));
  }
  if (!good) return Close(1007, "not a client frame");
  const bool large = data.size() > wire::kReusedFrame;
  gateway_.OnSocketFrame(id_, frame);
  if (large) wire::ClearReused(&frame, true);
}

void Gateway::Socket::OnWritable() {
  if (!paused_ || closing_) return;
  paused_ = false;
  gateway_.OnSocketPaused(id_, false);
}

void Gateway::Socket::OnClosed(std::uint16_t, std::string_view) {
  closing_ = true;
  gateway_.OnSocketClosed(id_);
}

}  // namespace baiwan::cell
