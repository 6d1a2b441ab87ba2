// What both backends of RealLoop share: turns, timers, posted work, and the life of sockets.
//
// A backend brings bytes, connections and readiness in (Wait, Dispatch) and carries out what a
// socket wants (Attach … StartConnect). Everything a handler can observe is decided above it, in
// Connection, ListenSocket and Connector, so that both backends behave alike.
//
// A socket object lives until nothing refers to it any more: not its owner, not a list of this
// turn, not the kernel (`operations`). So callbacks may destroy any stream or listener at any time,
// and a completion that comes late finds its object.
//
// Threads: the loop's own, but Post and Stop. Failure: see base/transport.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "net/post_queue.h"
#include "net/sockets.h"
#include "net/stream_output.h"
#include "net/timer_heap.h"
#include "net/transport.h"

namespace baiwan::net {

class Connection;
class Connector;
class ListenSocket;
class LoopCore;

// A socket that a loop owns.
class IoObject {
 public:
  enum class Kind : std::uint8_t { kConnection, kListener, kConnector };

  IoObject(Kind what, LoopCore& core, int descriptor) : kind(what), fd(descriptor), core_(&core) {}
  virtual ~IoObject() = default;
  IoObject(const IoObject&) = delete;
  IoObject& operator=(const IoObject&) = delete;

  // What was put off to this turn by MarkReady.
  virtual void RunReady() = 0;
  // The end of a turn in which MarkDirty was called.
  virtual void Flush() {}
  // The loop ends: closes, with no callback any more.
  virtual void Orphan() = 0;
  // Nothing but the owner refers to the object any more: gives memory back.
  virtual void Release() {}

  const Kind kind;
  int fd;                        // -1: closed, or about to be, by Detach
  std::uint32_t operations = 0;  // that the kernel has not completed (io_uring)
  bool arming = false;           // a multishot receive or accept is among them
  bool cancelling = false;       // … and has been told to end
  bool sending = false;          // … or a send
  int closing_fd = -1;           // … and this is to be closed once they are completed
  bool readable = false;         // a read may bring something (epoll)
  bool hung_up = false;          // … among it the end of the stream
  bool blocked = false;          // the socket takes nothing until it says so
  bool accepted = false;         // by a listener, which counts

 protected:
  friend class LoopCore;
  LoopCore* core_;  // null once the loop has let go of the object
  bool in_ready_ = false;
  bool in_dirty_ = false;
  bool buried_ = false;
  std::size_t index_ = 0;  // in LoopCore::objects_
};

class LoopCore : public RealLoop, public Transport {
 public:
  explicit LoopCore(const LoopOptions& options) : options_(options), pool_(options.spare_bytes) {}
  ~LoopCore() override;

  Clock& clock() override { return SystemClock(); }
  void Post(std::function<void()> work) override;
  TimerId After(Nanos delay, std::function<void()> work) override;
  void Cancel(TimerId timer) override { timers_.Cancel(timer); }
  void AddTurnHook(TurnHook* hook) override { hooks_.push_back(hook); }
  void RemoveTurnHook(TurnHook* hook) override;

  void Run() override;
  void RunOnce(Nanos wait) override;
  void Stop() override;
  Transport& transport() override { return *this; }
  LoopStats stats() const override { return stats_; }

  Result<std::unique_ptr<Listener>, NetError> Listen(const Endpoint& at,
                                                     AcceptFn on_accept) override;
  void Connect(const Endpoint& to, Nanos timeout, ConnectFn done) override;

  // For the sockets.
  void MarkReady(IoObject& object);
  void MarkDirty(IoObject& object);
  // The object is closed; it goes when nothing refers to it any more.
  void Bury(IoObject& object);
  // A stream over a connected descriptor.
  std::unique_ptr<ByteStream> NewStream(int descriptor, const Endpoint& peer, bool accepted);
  bool may_accept() const { return accepted_ < options_.max_accepted; }
  const LoopOptions& options() const { return options_; }
  BufferPool& pool() { return pool_; }
  LoopStats& counters() { return stats_; }
  std::size_t lingering = 0;  // connections that wait for the other side to close

  // For the sockets, from the backend. The object has a descriptor and is to be watched.
  virtual bool Attach(IoObject& object) = 0;
  // Ends what is under way and closes the descriptor, now or when that has ended.
  virtual void Detach(IoObject& object) = 0;
  // Takes bytes from the connection once, if that is how this backend reads.
  virtual void Read(Connection& connection) = 0;
  // Connection::WantsRead or ListenSocket::wants_accept may have changed.
  virtual void UpdateReading(Connection& connection) = 0;
  virtual void UpdateAccepting(ListenSocket& listener) = 0;
  // Sends Connection::NextToSend; ends in Connection::Sent or SendFailed, now or later.
  virtual void Send(Connection& connection) = 0;
  virtual void StartConnect(Connector& connector) = 0;

 protected:
  virtual Blocking blocking() const = 0;
  // Hands over what has been queued and waits at most `wait` (< 0: without end) for something.
  virtual void Wait(Nanos wait) = 0;
  // Handles what Wait found.
  virtual void Dispatch() = 0;

  // Before the backend goes: drops timers, posted work and hooks, closes all sockets.
  void Shutdown();
  bool all_closed() const { return objects_.empty(); }
  // Lets go of what nothing refers to any more.
  void DigGraves();
  // Connections wait at the listener, which has a socket that does not block.
  void AcceptFrom(ListenSocket& listener);

  const LoopOptions options_;
  PostQueue posts_;
  LoopStats stats_;

 private:
  void Turn(Nanos wait);
  Nanos TimeToWait(Nanos wait);
  void RunReadyObjects();
  void RunPosted();
  void RunHooks();
  void FlushDirty();
  void Adopt(std::shared_ptr<IoObject> object);
  void Forget(IoObject& object);

  TimerHeap timers_;
  std::vector<TurnHook*> hooks_;  // null: removed while the hooks ran
  bool in_hooks_ = false;
  std::vector<std::function<void()>> posted_;
  BufferPool pool_;
  std::vector<std::shared_ptr<IoObject>> objects_;
  std::vector<IoObject*> listeners_;  // of these
  std::size_t accepted_ = 0;          // of these
  std::vector<IoObject*> ready_, ready_now_;
  std::vector<IoObject*> dirty_, dirty_now_;
  std::vector<IoObject*> graves_;
  bool shut_down_ = false;
};

}  // namespace baiwan::net
