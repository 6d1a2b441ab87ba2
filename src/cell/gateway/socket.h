// One client's WebSocket: frames in their two spellings, how fast the client reads, and how much it
// has asked that is not dealt with.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "cell/gateway/gateway.h"
#include "net/websocket.h"

namespace baiwan::cell {

class Gateway::Socket final : public net::WsHandler {
 public:
  // Text frames hold the same messages as JSON; a client that sends text is answered in text.
  Socket(Gateway& gateway, SessionId id, bool json) : gateway_(gateway), id_(id), json_(json) {}

  void Attach(std::unique_ptr<net::WebSocket> socket) { socket_ = std::move(socket); }
  void Send(const wire::ServerFrame& frame);
  void Close(std::uint16_t code, std::string_view reason);
  // So many questions go to the logic server; one of them has been dealt with.
  void Asks(std::uint32_t questions);
  void Answered();

  void OnMessage(bool is_text, std::string_view data) override;
  void OnWritable() override;
  void OnClosed(std::uint16_t code, std::string_view reason) override;

 private:
  Gateway& gateway_;
  const SessionId id_;
  bool json_;
  bool paused_ = false;
  bool closing_ = false;
  bool held_ = false;  // not read, until some of what it asked is dealt with
  std::uint32_t questions_ = 0;
  std::unique_ptr<net::WebSocket> socket_;
};

}  // namespace baiwan::cell
