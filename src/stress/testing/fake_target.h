// A chat backend in memory for tests of the Driver, on the loop and clock of a MemoryWorld.
//
// It keeps what a real one promises (order by send id, window, repeats are harmless, what is
// refused is not kept) and checks what a load client must: the window is never exceeded, a message
// has the receiver and body that are planned. A test can make it slow, refuse, stall, forget, close
// connections or be away.
//
// Threads: one.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/node_context.h"
#include "stress/target.h"
#include "stress/workload.h"

namespace baiwan::stress::testing {

class FakeTarget final : public Target {
 public:
  struct User {
    Seq stored = 0;
    Seq acked = 0;
    std::map<Seq, std::size_t> waiting;  // out of order, with bytes
    std::vector<Seq> submitted;          // in the order of arrival, repeats included
    std::vector<Nanos> connects;         // when
    std::size_t most_waiting = 0;
    bool goes_on = false;  // storing what waits
  };

  FakeTarget(NodeContext& node, const WorkloadSpec& spec, const CellGraph& graph)
      : node_(node), spec_(spec), graph_(graph) {}

  std::unique_ptr<TargetClient> MakeClient(UserId user, TargetListener* listener) override {
    return std::make_unique<Client>(*this, user, listener);
  }
  bool pushes() const override { return push; }

  // ---- how it behaves
  bool push = true;
  Nanos latency = kMillisecond;  // of every answer
  std::uint32_t window_messages = 1024;
  std::uint32_t window_bytes = 256 << 10;
  bool away = false;  // connects fail
  NetError why_away{};
  Nanos retry_after = 0;     // then
  bool silent = false;       // takes everything and says nothing
  bool lossy = false;        // takes messages and forgets them
  bool hold_stores = false;  // stores nothing until Release
  bool hold_acks = false;
  std::size_t store_at_most = ~std::size_t{0};  // of one user in a millisecond
  std::function<std::optional<TargetRefusal>(UserId, const TargetMessage&)> refuse;
  std::function<std::optional<TargetRefusal>(UserId)> refuse_connect;

  // ---- what can be done to it
  void Release() {
    hold_stores = hold_acks = false;
    for (auto& [user, state] : users) Advance(user);
    TellAll();
  }
  // Every connection breaks, and what was not stored is forgotten.
  void Crash() {
    for (auto& [user, state] : users) state.waiting.clear();
    for (const auto& [number, c] : std::map(clients_)) c->Break("it crashed", retry_after);
  }
  // It forgets what it had taken, and nobody notices.
  void ForgetTaken() {
    for (auto& [user, state] : users) state.waiting.clear();
  }

  std::map<UserId, User> users;
  std::size_t connected() const { return connected_; }
  std::size_t most_connected = 0;
  std::size_t most_in_frame = 0;
  std::size_t frames = 0;
  // Users who have begun and are not all stored, at most at one time.
  std::size_t most_playing = 0;

 private:
  class Client final : public TargetClient {
   public:
    Client(FakeTarget& target, UserId user, TargetListener* listener)
        : target_(target), number_(++target.made_), user_(user), listener_(listener) {
      target_.clients_.emplace(number_, this);
    }
    ~Client() override {
      SetUp(false);
      *alive_ = false;
      target_.clients_.erase(number_);
    }
    void Connect() override {
      target_.users[user_].connects.push_back(target_.node_.clock.Monotonic());
      Later([this] {
        if (target_.silent) return;
        if (target_.away) return listener_->OnDown("away", target_.retry_after, target_.why_away);
        if (target_.refuse_connect) {
          if (const auto refusal = target_.refuse_connect(user_)) {
            return listener_->OnRefused(*refusal);
          }
        }
        SetUp(true);
        target_.CountPlaying();
        listener_->OnUp(Counters());
      });
    }
    std::size_t room() const override {
      if (!up_) return 0;
      return target_.push ? 64 : busy_ ? 0 : 1;
    }
    void Submit(const std::vector<TargetMessage>& messages) override {
      EXPECT_LE(messages.size(), room());
      ++target_.frames;
      target_.most_in_frame = std::max(target_.most_in_frame, messages.size());
      busy_ = true;
      struct Copy {
        TargetMessage message;
        std::string body;
      };
      std::vector<Copy> copies;
      copies.reserve(messages.size());
      for (const TargetMessage& m : messages) copies.push_back({m, std::string(m.body)});
      Later([this, copies = std::move(copies)]() mutable {
        busy_ = false;
        if (target_.silent || !up_) return;
        for (Copy& c : copies) {
          c.message.body = c.body;
          if (const auto refusal = target_.Take(user_, c.message)) listener_->OnRefused(*refusal);
        }
        target_.Advance(user_);
        target_.CountPlaying();
        if (target_.push) return Tell();
        listener_->OnAcknowledged(polled_);
      });
    }
    void Poll() override {
      busy_ = true;
      Later([this] {
        busy_ = false;
        if (target_.silent || !up_) return;
        Tell();
      });
    }
    void Tell() {
      polled_ = Counters();
      listener_->OnAcknowledged(polled_);
    }
    void Break(std::string_view why, Nanos pause) {
      if (!up_) return;
      SetUp(false);
      target_.node_.loop.Post([this, alive = alive_, why = std::string(why), pause] {
        if (*alive) listener_->OnDown(why, pause, NetError{});
      });
    }
    bool up() const { return up_; }
    UserId user() const { return user_; }

   private:
    TargetCounters Counters() const {
      const User& u = target_.users[user_];
      return {u.stored, u.acked, 0};
    }
    void SetUp(bool up) {
      if (up == up_) return;
      up_ = up;
      if (up) polled_ = Counters();
      target_.connected_ += up ? 1 : std::size_t(-1);
      target_.most_connected = std::max(target_.most_connected, target_.connected_);
    }
    void Later(std::function<void()> work) {
      target_.node_.loop.After(target_.latency, [alive = alive_, work = std::move(work)] {
        if (*alive) work();
      });
    }

    FakeTarget& target_;
    const std::uint64_t number_;
    const UserId user_;
    TargetListener* listener_;
    TargetCounters polled_;
    bool up_ = false;
    bool busy_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  };

  std::optional<TargetRefusal> Take(UserId user, const TargetMessage& m) {
    User& u = users[user];
    u.submitted.push_back(m.send_id);
    EXPECT_TRUE(BodyMatches(spec_, user, m.send_id, m.body)) << user << " " << m.send_id;
    MessagePlan plan(spec_, user, graph_.friends(graph_.Find(user)));
    EXPECT_EQ(plan.friend_of(m.send_id), m.receiver) << user << " " << m.send_id;
    if (refuse) {
      if (auto refusal = refuse(user, m)) return refusal;
    }
    if (m.send_id <= u.stored || lossy) return std::nullopt;
    std::size_t bytes = m.body.size();
    for (const auto& [id, size] : u.waiting) bytes += size;
    EXPECT_LE(m.send_id, u.stored + window_messages) << "beyond the window";
    EXPECT_LE(bytes, std::max<std::size_t>(window_bytes, m.body.size())) << "beyond the window";
    u.waiting[m.send_id] = m.body.size();
    u.most_waiting = std::max(u.most_waiting, u.waiting.size());
    return std::nullopt;
  }
  void Advance(UserId user) {
    User& u = users[user];
    std::size_t left = hold_stores ? 0 : store_at_most;
    while (left > 0 && !u.waiting.empty() && u.waiting.begin()->first == u.stored + 1) {
      u.waiting.erase(u.waiting.begin());
      ++u.stored;
      --left;
    }
    if (!hold_acks) u.acked = u.stored;
    if (left > 0 || hold_stores || std::exchange(u.goes_on, true)) return;
    node_.loop.After(kMillisecond, [this, user] {
      users[user].goes_on = false;
      Advance(user);
      TellAll();
    });
  }
  void TellAll() {
    if (!push) return;
    for (const auto& [number, c] : std::map(clients_)) {
      if (c->up()) c->Tell();
    }
  }
  void CountPlaying() {
    std::size_t playing = 0;
    for (const auto& [number, c] : clients_) {
      const User& u = users[c->user()];
      playing +=
          c->up() && u.stored < MessagesOf(spec_, graph_.friends(graph_.Find(c->user())).size());
    }
    most_playing = std::max(most_playing, playing);
  }

  NodeContext& node_;
  const WorkloadSpec& spec_;
  const CellGraph& graph_;
  std::uint64_t made_ = 0;
  std::map<std::uint64_t, Client*> clients_;  // in the order in which they were made
  std::size_t connected_ = 0;
};

}  // namespace baiwan::stress::testing
