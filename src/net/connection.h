// One TCP connection of a RealLoop: reading, unread rest, output, and its several ways to end.
//
//   open ──CloseAfterFlush──► draining ──all sent──► lingering ──the other side closed──► closed
//     └──the other side closed──► draining ──all sent──► closed;  any state ──error──► closed
//                  └──the handler has still to answer: open, until it calls CloseAfterFlush
//
// Draining: what is unsent still goes out, for at most flush_timeout; what comes in is dropped.
// Lingering: our half is closed and the handler has been told; the descriptor stays open for at
// most kLingerTime, because closing it with bytes unread would make TCP withdraw what it has sent.
// An end of reading is told one turn later, so that answers to what came with it still go out, and
// after the handler had all data. A failed send lets reading come to its end first: what the other
// side said before it went is still heard.
//
// Threads: the loop's. Failure: base/transport.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "net/loop_core.h"
#include "net/sockets.h"

namespace baiwan::net {

class Connection final : public IoObject {
 public:
  static constexpr Nanos kLingerTime = 2 * kSecond;

  Connection(LoopCore& core, int descriptor, Endpoint peer)
      : IoObject(Kind::kConnection, core, descriptor), peer_(std::move(peer)) {}

  // From the owner, see ByteStream.
  void SetHandler(StreamHandler* handler);
  void SetLimits(const StreamLimits& limits) { limits_ = limits; }
  // Null if nothing can be written any more.
  std::string* Output();
  std::size_t unsent() const { return writable_state() ? output_.unsent() : 0; }
  void PauseReading();
  void ResumeReading();
  void CloseAfterFlush();
  void Abandon();
  const Endpoint& peer() const { return peer_; }
  std::uint64_t bytes_in() const { return bytes_in_; }
  std::uint64_t bytes_out() const { return bytes_out_; }

  // From the backend.
  void Take(std::string_view data);
  void EndOfReading(NetError error);
  bool WantsRead() const;
  std::string_view NextToSend();
  void Sent(std::size_t bytes);
  void SendFailed(NetError error);
  // Ends the connection now.
  void Close(NetError error);

  void RunReady() override;
  void Flush() override;
  void Orphan() override;
  void Release() override;

 private:
  enum class State : std::uint8_t { kOpen, kDraining, kLingering, kClosed };

  bool writable_state() const {
    return (state_ == State::kOpen || state_ == State::kDraining) && !send_failed_;
  }
  std::size_t Offer(std::string_view data);
  void OfferUnread();
  void CheckUnread();
  void BeginDraining();
  void Drained();
  void EndOfInput();
  void SetDeadline(Nanos delay);
  void Tell(NetError error);
  void NoteLevel();

  State state_ = State::kOpen;
  bool paused_ = false;
  bool redeliver_ = false;                // the rest is to be offered again without new bytes
  bool answering_ = false;                // the handler has still to answer after that
  bool ended_ = false;                    // nothing more can be read …
  bool send_failed_ = false;              // … or sent
  bool above_high_ = false;               // unsent() has passed high_water
  bool tell_writable_ = false;            // OnWritable is due
  bool tell_closed_ = false;              // OnClosed is due
  bool told_ = false;                     // … or was
  NetError end_ = NetError::kEof;         // why, if ended_
  NetError send_error_ = NetError::kEof;  // why, if send_failed_
  NetError closed_ = NetError::kEof;      // what OnClosed tells
  StreamHandler* handler_ = nullptr;
  StreamLimits limits_;
  std::string unread_;
  StreamOutput output_;
  TimerId deadline_ = 0;
  std::uint64_t bytes_in_ = 0;
  std::uint64_t bytes_out_ = 0;
  const Endpoint peer_;
};

// What the owner of a stream holds.
class Stream final : public ByteStream {
 public:
  explicit Stream(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
  ~Stream() override { connection_->Abandon(); }

  void SetHandler(StreamHandler* handler) override { connection_->SetHandler(handler); }
  void SetLimits(const StreamLimits& limits) override { connection_->SetLimits(limits); }
  void Write(std::string_view data) override {
    if (std::string* output = connection_->Output()) output->append(data);
  }
  std::string& Output() override {
    if (std::string* output = connection_->Output()) return *output;
    ignored_.clear();
    return ignored_;
  }
  std::size_t unsent() const override { return connection_->unsent(); }
  void PauseReading() override { connection_->PauseReading(); }
  void ResumeReading() override { connection_->ResumeReading(); }
  void CloseAfterFlush() override { connection_->CloseAfterFlush(); }
  const Endpoint& peer() const override { return connection_->peer(); }
  Endpoint local() const override { return LocalEndpoint(connection_->fd); }
  std::uint64_t bytes_in() const override { return connection_->bytes_in(); }
  std::uint64_t bytes_out() const override { return connection_->bytes_out(); }

 private:
  const std::shared_ptr<Connection> connection_;
  std::string ignored_;  // what is written when nothing can be sent
};

}  // namespace baiwan::net
