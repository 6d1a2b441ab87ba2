// The streams and listeners that a SimTransport hands out. See sim/transport.h.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "base/transport.h"
#include "sim/network.h"
#include "sim/transport.h"

namespace baiwan::sim {

class SimStream final : public ByteStream {
 public:
  SimStream(SimTransport& transport, SocketId socket, Endpoint peer);
  ~SimStream() override;
  SimStream(const SimStream&) = delete;
  SimStream& operator=(const SimStream&) = delete;

  void SetHandler(StreamHandler* handler) override;
  void SetLimits(const StreamLimits& limits) override { limits_ = limits; }
  void Write(std::string_view data) override;
  std::string& Output() override;
  std::size_t unsent() const override { return waiting_.size() - sent_ + output_.size(); }
  void PauseReading() override { paused_ = true; }
  void ResumeReading() override;
  void CloseAfterFlush() override;
  const Endpoint& peer() const override { return peer_; }
  Endpoint local() const override;
  std::uint64_t bytes_in() const override { return bytes_in_; }
  std::uint64_t bytes_out() const override { return bytes_out_; }

 private:
  friend class SimTransport;
  static constexpr Nanos kDrainTime = 10 * kSecond;  // as the real transport's

  // Hands to the network what it has room for, and notes whether OnWritable is due.
  void Push();
  void Drop();

  SimTransport& transport_;
  const SocketId socket_;
  const Endpoint peer_;
  StreamHandler* handler_ = nullptr;
  StreamLimits limits_;
  std::string output_;   // written since the last Push
  std::string waiting_;  // from sent_ on: what the network had no room for
  std::size_t sent_ = 0;
  std::string unread_;  // taken from the network, not used by the handler
  bool paused_ = false;
  bool hand_again_ = false;  // unread_ is to be offered without new bytes
  bool closing_ = false;     // CloseAfterFlush
  bool answering_ = false;   // nothing more comes, and the handler has still to answer
  bool flushed_ = false;     // … and all is sent: OnClosed is due
  bool closed_ = false;
  bool was_high_ = false;
  bool tell_writable_ = false;
  std::uint64_t bytes_in_ = 0;
  std::uint64_t bytes_out_ = 0;
};

class SimListener final : public Listener {
 public:
  SimListener(SimTransport& transport, Endpoint local, AcceptFn on_accept);
  ~SimListener() override;
  SimListener(const SimListener&) = delete;
  SimListener& operator=(const SimListener&) = delete;

  const Endpoint& local() const override { return local_; }
  void Pause() override { paused_ = true; }
  void Resume() override;

 private:
  friend class SimTransport;

  SimTransport& transport_;
  const Endpoint local_;
  const std::shared_ptr<AcceptFn> on_accept_;  // shared: a listener may go while it is called
  std::deque<SocketId> backlog_;
  bool paused_ = false;
};

}  // namespace baiwan::sim
