// A loop, a clock and a transport in memory, for unit tests of whatever speaks over ByteStreams.
//
// Nothing happens until the test says so: Turn runs one turn, Settle runs turns until nothing is
// left to do, Advance moves the clock from timer to timer, RunUntil to when something holds. The
// same calls give the same run, however busy the machine is. Bytes pass in pieces of `read_bytes`,
// a peer takes at most `window` bytes that it has not read, and what is on the way can be
// swallowed, changed or cut off. Handlers get each piece in memory of its exact size, which is gone
// after the call, so that sanitizers see every step beyond it.
//
// Threads: one. Failure: as base/transport.h; Settle gives up after a million turns.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/node_context.h"

namespace baiwan::net {

class ManualClock final : public Clock {
 public:
  Nanos Monotonic() const override { return now; }
  std::uint64_t WallMillis() const override { return static_cast<std::uint64_t>(now / 1'000'000); }
  Nanos now = 1'000 * kSecond;
};

class MemoryLoop final : public Loop {
 public:
  explicit MemoryLoop(ManualClock& clock) : clock_(clock) {}

  Clock& clock() override { return clock_; }
  void Post(std::function<void()> work) override { posted_.push_back(std::move(work)); }
  TimerId After(Nanos delay, std::function<void()> work) override {
    const TimerId id = ++last_timer_;
    const Nanos due = clock_.now + std::max<Nanos>(delay, 0);
    due_of_[id] = due;
    timers_[{due, id}] = std::move(work);
    return id;
  }
  void Cancel(TimerId timer) override {
    const auto found = due_of_.find(timer);
    if (found == due_of_.end()) return;
    const auto node = timers_.extract({found->second, timer});
    due_of_.erase(found);
  }
  void AddTurnHook(TurnHook* hook) override { hooks_.push_back(hook); }
  void RemoveTurnHook(TurnHook* hook) override {
    std::replace(hooks_.begin(), hooks_.end(), hook, static_cast<TurnHook*>(nullptr));
  }

  std::size_t timers() const { return timers_.size(); }
  // When the next timer is due, or -1.
  Nanos NextDue() const { return timers_.empty() ? -1 : timers_.begin()->first.first; }
  bool RunPostedAndTimers() {
    bool did = false;
    for (auto& work : std::exchange(posted_, {})) {
      work();
      did = true;
    }
    while (!timers_.empty() && timers_.begin()->first.first <= clock_.now) {
      const auto work = timers_.extract(timers_.begin());
      due_of_.erase(work.key().second);
      work.mapped()();
      did = true;
    }
    return did;
  }
  void RunHooks() {
    for (std::size_t i = 0; i < hooks_.size(); ++i) {
      if (hooks_[i] != nullptr) hooks_[i]->OnTurnEnd();
    }
    hooks_.erase(std::remove(hooks_.begin(), hooks_.end(), nullptr), hooks_.end());
  }
  void DropWork() {
    const auto posted = std::exchange(posted_, {});
    const auto timers = std::exchange(timers_, {});
    due_of_.clear();
  }

 private:
  ManualClock& clock_;
  std::vector<std::function<void()>> posted_;
  std::map<std::pair<Nanos, TimerId>, std::function<void()>> timers_;
  std::map<TimerId, Nanos> due_of_;
  std::vector<TurnHook*> hooks_;
  TimerId last_timer_ = 0;
};

// One end of a connection. It outlives its stream, because the other end refers to it.
struct MemoryEnd {
  Endpoint peer;
  std::shared_ptr<MemoryEnd> other;  // until the connection is over
  StreamHandler* handler = nullptr;
  StreamLimits limits;
  std::string out;      // written, not sent
  std::string arrived;  // not read
  std::string unread;   // read, not used
  bool owned = true;    // the stream exists
  bool paused = false;
  bool hand_again = false;
  bool closing = false;  // CloseAfterFlush
  bool fin = false;      // the other side has sent its last byte
  bool answering = false;  // … and the handler has still to answer
  bool over = false;     // nothing is sent or read any more
  bool tell_closed = false;
  bool tell_writable = false;
  bool above_high = false;
  NetError error = NetError::kEof;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t writes = 0;  // system calls, if this were a socket

  void End(NetError why) {
    if (over) return;
    over = true;
    tell_closed = true;
    error = why;
  }
};

class MemoryStream final : public ByteStream {
 public:
  explicit MemoryStream(std::shared_ptr<MemoryEnd> end) : end_(std::move(end)) {}
  ~MemoryStream() override {
    end_->owned = false;
    end_->handler = nullptr;
    end_->over = true;
    if (end_->other) end_->other->fin = true;
  }
  void SetHandler(StreamHandler* handler) override {
    end_->handler = handler;
    end_->hand_again = true;
  }
  void SetLimits(const StreamLimits& limits) override { end_->limits = limits; }
  void Write(std::string_view data) override { Output().append(data); }
  std::string& Output() override {
    ignored_.clear();
    return end_->over || end_->closing ? ignored_ : end_->out;
  }
  std::size_t unsent() const override { return end_->over ? 0 : end_->out.size(); }
  void PauseReading() override { end_->paused = true; }
  void ResumeReading() override {
    end_->paused = false;
    end_->hand_again = true;
  }
  void CloseAfterFlush() override { end_->closing = true; }
  // As shutdown of a socket's writing side. What was written has left by then.
  void EndOutput() {
    if (end_->other) end_->other->fin = true;
  }
  const Endpoint& peer() const override { return end_->peer; }
  Endpoint local() const override { return {"127.0.0.1", 0}; }
  std::uint64_t bytes_in() const override { return end_->bytes_in; }
  std::uint64_t bytes_out() const override { return end_->bytes_out; }

 private:
  const std::shared_ptr<MemoryEnd> end_;
  std::string ignored_;
};

class MemoryTransport final : public Transport {
 public:
  // What the test may turn; see the top.
  std::size_t read_bytes = 64 << 10;
  std::size_t window = 1 << 20;
  bool swallow = false;                                      // bytes vanish, and nobody is told
  std::function<void(std::string& bytes)> on_way = nullptr;  // may change what passes

  Result<std::unique_ptr<Listener>, NetError> Listen(const Endpoint& at,
                                                     AcceptFn on_accept) override {
    Endpoint local = at;
    if (local.port == 0) local.port = next_port_++;
    if (listeners_.count(local.port) != 0) return NetError::kAddressInUse;
    auto listener = std::make_unique<MemoryListener>(*this, local, std::move(on_accept));
    listeners_[local.port] = listener.get();
    return std::unique_ptr<Listener>(std::move(listener));
  }

  void Connect(const Endpoint& to, Nanos, ConnectFn done) override {
    connecting_.push_back({to, std::move(done)});
  }

  // Breaks every connection.
  void BreakAll(NetError error = NetError::kReset) {
    for (const auto& end : ends_) end->End(error);
  }
  // Send calls so far, over all connections.
  std::uint64_t writes() const { return writes_; }
  std::size_t open() const { return ends_.size(); }

  // The parts of a turn.
  bool Deliver() {
    bool did = Establish();
    for (std::size_t i = 0; i < ends_.size(); ++i) {
      const auto end = ends_[i];
      did = Serve(*end) || did;
    }
    return did;
  }
  bool Flush() {
    bool did = false;
    for (std::size_t i = 0; i < ends_.size(); ++i) {
      const auto end = ends_[i];
      did = Send(*end) || did;
    }
    Sweep();
    return did;
  }
  void DropWork() {
    const auto connecting = std::exchange(connecting_, {});
    for (const auto& end : ends_) end->other.reset();
  }

 private:
  class MemoryListener final : public Listener {
   public:
    MemoryListener(MemoryTransport& transport, Endpoint local, AcceptFn on_accept)
        : accept(std::move(on_accept)), transport_(transport), local_(std::move(local)) {}
    ~MemoryListener() override { transport_.listeners_.erase(local_.port); }
    const Endpoint& local() const override { return local_; }
    void Pause() override { paused = true; }
    void Resume() override { paused = false; }
    const AcceptFn accept;
    bool paused = false;

   private:
    MemoryTransport& transport_;
    const Endpoint local_;
  };
  struct Connecting {
    Endpoint to;
    ConnectFn done;
  };

  bool Establish() {
    bool did = false;
    for (auto& attempt : std::exchange(connecting_, {})) {
      const auto found = listeners_.find(attempt.to.port);
      if (found == listeners_.end()) {
        attempt.done(NetError::kRefused);
      } else if (found->second->paused) {
        connecting_.push_back(std::move(attempt));
        continue;
      } else {
        const auto client = std::make_shared<MemoryEnd>();
        const auto server = std::make_shared<MemoryEnd>();
        client->peer = attempt.to;
        server->peer = {"127.0.0.1", next_port_++};
        client->other = server;
        server->other = client;
        ends_.push_back(server);
        ends_.push_back(client);
        found->second->accept(std::make_unique<MemoryStream>(server));
        attempt.done(std::unique_ptr<ByteStream>(std::make_unique<MemoryStream>(client)));
      }
      did = true;
    }
    return did;
  }

  bool Serve(MemoryEnd& end) {
    if (end.tell_closed) {
      end.tell_closed = false;
      if (StreamHandler* handler = std::exchange(end.handler, nullptr))
        handler->OnClosed(end.error);
      return true;
    }
    bool did = false;
    if (std::exchange(end.tell_writable, false) && !end.over && end.handler != nullptr) {
      end.handler->OnWritable();
      did = true;
    }
    if (end.over || end.paused || end.handler == nullptr) return did;
    if (end.closing) {
      did = did || !end.arrived.empty();
      end.arrived.clear();
      return did;
    }
    return Read(end) || did;
  }

  bool Read(MemoryEnd& end) {
    const std::size_t fresh = std::min(read_bytes, end.arrived.size());
    const bool again = std::exchange(end.hand_again, false) && !end.unread.empty();
    if (fresh == 0 && !again) {
      if (!end.fin || end.answering) return false;
      end.answering = end.handler->OnEndOfInput();
      if (end.answering || end.over || end.closing) return true;
      // Answers to what came last still go out.
      if (end.out.empty()) {
        end.End(NetError::kEof);
      } else {
        end.closing = true;
      }
      return true;
    }
    const std::size_t size = end.unread.size() + fresh;
    const std::unique_ptr<char[]> piece(new char[size]);
    if (!end.unread.empty()) std::memcpy(piece.get(), end.unread.data(), end.unread.size());
    if (fresh > 0) std::memcpy(piece.get() + end.unread.size(), end.arrived.data(), fresh);
    end.unread.append(end.arrived, 0, fresh);
    end.arrived.erase(0, fresh);
    end.bytes_in += fresh;
    const std::size_t used = end.handler->OnData({piece.get(), size});
    if (used > size) Abort("a handler used more bytes than it was given");
    end.unread.erase(0, used);
    if (!end.paused && end.unread.size() > end.limits.max_unread) {
      end.End(NetError::kReadBufferFull);
    }
    return true;
  }

  bool Send(MemoryEnd& end) {
    if (end.over) return false;
    if (end.out.size() > end.limits.high_water) end.above_high = true;
    bool did = false;
    if (!end.out.empty() && (!end.other || end.other->over)) {
      end.End(NetError::kReset);
      return true;
    }
    if (!end.out.empty()) {
      const std::size_t room = window - std::min(window, end.other->arrived.size());
      const std::size_t size = std::min(room, end.out.size());
      if (size > 0) {
        std::string bytes = end.out.substr(0, size);
        end.out.erase(0, size);
        end.bytes_out += size;
        ++end.writes;
        ++writes_;
        if (on_way) on_way(bytes);
        if (!swallow) end.other->arrived += bytes;
        did = true;
      }
    }
    if (end.above_high && (end.out.empty() || end.out.size() < end.limits.low_water)) {
      end.above_high = false;
      end.tell_writable = did = true;
    }
    if (end.closing && end.out.empty()) {
      if (end.other) end.other->fin = true;
      end.End(NetError::kEof);
      did = true;
    }
    return did;
  }

  // Forgets connections that are over on both sides.
  void Sweep() {
    for (const auto& end : ends_) {
      if (end->over && end->other && end->other->over) {
        end->other->other.reset();
        end->other.reset();
      }
    }
    ends_.erase(std::remove_if(
                    ends_.begin(), ends_.end(),
                    [](const auto& end) { return end->over && !end->tell_closed && !end->other; }),
                ends_.end());
  }

  [[noreturn]] static void Abort(const char* why) {
    std::fprintf(stderr, "memory transport: %s\n", why);
    std::abort();
  }

  std::map<std::uint16_t, MemoryListener*> listeners_;
  std::vector<Connecting> connecting_;
  std::vector<std::shared_ptr<MemoryEnd>> ends_;
  std::uint16_t next_port_ = 10'000;
  std::uint64_t writes_ = 0;
};

// Everything a node needs, with a log that can be read and a budget that can be chosen.
class MemoryWorld {
 public:
  explicit MemoryWorld(std::uint64_t seed = 1, std::uint64_t budget_bytes = std::uint64_t{1} << 40)
      : loop(clock), rng(seed), budget(budget_bytes) {}
  ~MemoryWorld() {
    loop.DropWork();
    transport.DropWork();
  }

  bool Turn() {
    bool did = transport.Deliver();
    did = loop.RunPostedAndTimers() || did;
    loop.RunHooks();
    return transport.Flush() || did;
  }
  void Settle() {
    for (int i = 0; i < 1'000'000; ++i) {
      if (!Turn()) return;
    }
    std::fprintf(stderr, "memory world: it does not come to rest\n");
    std::abort();
  }
  void Advance(Nanos time) {
    const Nanos until = clock.now + time;
    Settle();
    while (loop.NextDue() >= 0 && loop.NextDue() <= until) {
      clock.now = std::max(clock.now, loop.NextDue());
      Settle();
    }
    clock.now = until;
    Settle();
  }
  // Lets time pass until it holds: true. False if that takes longer than it may.
  bool RunUntil(const std::function<bool()>& holds, Nanos within = 20 * kSecond) {
    const Nanos until = clock.now + within;
    Settle();
    while (!holds()) {
      if (clock.now >= until) return false;
      Advance(std::min(kMillisecond, until - clock.now));
    }
    return true;
  }

  class LineLog final : public Log {
   public:
    void Write(LogLevel, std::string_view line) override { lines.emplace_back(line); }
    std::vector<std::string> lines;
  };
  class NoDeath final : public Fatal {
   public:
    void Die(std::string_view why) override { reason = why; }
    std::string reason;
  };

  ManualClock clock;
  MemoryLoop loop;
  MemoryTransport transport;
  Rng rng;
  Budget budget;
  NoDeath fatal;
  LineLog log;
  NodeContext node{loop, transport, clock, rng, budget, fatal, log};
};

// Collects what a stream brings and uses all of it; for tests that speak bytes.
class RawPeer final : public StreamHandler {
 public:
  // Connects; Settle once before using it.
  RawPeer(MemoryWorld& world, const Endpoint& to) {
    world.transport.Connect(to, kSecond, [this](Result<std::unique_ptr<ByteStream>, NetError> got) {
      if (!got) {
        error = got.error();
        closed = true;
        return;
      }
      stream = std::move(*got);
      stream->SetHandler(this);
    });
    world.Settle();
  }
  std::size_t OnData(std::string_view data) override {
    received.append(data);
    return data.size();
  }
  void OnClosed(NetError why) override {
    closed = true;
    error = why;
  }
  void Send(std::string_view data) { stream->Write(data); }
  void EndOutput() { static_cast<MemoryStream&>(*stream).EndOutput(); }
  // What came since the last Take.
  std::string Take() { return std::exchange(received, {}); }

  std::unique_ptr<ByteStream> stream;
  std::string received;
  bool closed = false;
  NetError error = NetError::kOther;
};

}  // namespace baiwan::net
