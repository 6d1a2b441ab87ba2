// Turns, timers and posted work of real loops; and the two parts that carry them.
#include <fcntl.h>

#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "base/rng.h"
#include "net/post_queue.h"
#include "net/testing/transport_fixture.h"
#include "net/timer_heap.h"

namespace baiwan::net {
namespace {

class LoopTest : public TransportTest {};
BAIWAN_ON_BOTH_BACKENDS(LoopTest);

TEST_P(LoopTest, TimersFireInOrderNotEarlyAndNotAfterCancel) {
  std::vector<int> fired;
  const Nanos start = loop->clock().Monotonic();
  Nanos second_at = 0;
  loop->After(20 * kMillisecond, [&] { fired.push_back(3); });
  loop->After(5 * kMillisecond, [&] {
    fired.push_back(2);
    second_at = loop->clock().Monotonic();
  });
  const TimerId never = loop->After(10 * kMillisecond, [&] { fired.push_back(-1); });
  const TimerId first = loop->After(0, [&] { fired.push_back(1); });
  loop->Cancel(never);
  loop->Cancel(0);
  ASSERT_TRUE(RunUntil([&] { return fired.size() == 3; }));
  loop->Cancel(first);  // it has fired
  EXPECT_EQ(fired, (std::vector<int>{1, 2, 3}));
  EXPECT_GE(second_at - start, 5 * kMillisecond);
  EXPECT_LT(loop->clock().Monotonic() - start, 5 * kSecond);
}

TEST_P(LoopTest, ShortTimersAreShort) {
  // A linger of a fraction of a millisecond must not become a whole one.
  Nanos best = kSecond;
  // One that is rounded up is never short; on a busy machine few are.
  for (int i = 0; i < 20 || (i < 2000 && best >= 900 * kMicrosecond); ++i) {
    const Nanos start = loop->clock().Monotonic();
    bool fired = false;
    loop->After(200 * kMicrosecond, [&] { fired = true; });
    ASSERT_TRUE(RunUntil([&] { return fired; }));
    best = std::min(best, loop->clock().Monotonic() - start);
  }
  EXPECT_GE(best, 200 * kMicrosecond);
  EXPECT_LT(best, 900 * kMicrosecond);
}

TEST_P(LoopTest, ATimerSetInATimerRunsInALaterTurn) {
  std::uint64_t first = 0, second = 0;
  loop->After(0, [&] {
    first = loop->stats().turns;
    loop->After(0, [&] { second = loop->stats().turns; });
  });
  ASSERT_TRUE(RunUntil([&] { return second > 0; }));
  EXPECT_GT(second, first);
}

TEST_P(LoopTest, PostedWorkRunsInOrderInALaterTurn) {
  std::vector<int> order;
  std::uint64_t turn = 0, inner = 0;
  for (int i = 0; i < 10; ++i) loop->Post([&, i] { order.push_back(i); });
  loop->Post([&] {
    turn = loop->stats().turns;
    loop->Post([&] { inner = loop->stats().turns; });
  });
  EXPECT_TRUE(order.empty());
  ASSERT_TRUE(RunUntil([&] { return inner > 0; }));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  EXPECT_GT(inner, turn);
}

TEST_P(LoopTest, WorkFromManyThreadsRunsOnceAndInEachThreadsOrder) {
  constexpr int kThreads = 4, kEach = 10'000;
  std::vector<int> next(kThreads, 0);
  int wrong = 0, done = 0;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        loop->Post([&, t, i] {
          if (next[static_cast<std::size_t>(t)]++ != i) ++wrong;
          ++done;
        });
      }
    });
  }
  EXPECT_TRUE(RunUntil([&] { return done == kThreads * kEach; }));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(done, kThreads * kEach);
}

TEST_P(LoopTest, ASleepingLoopWakesForEveryPost) {
  std::atomic<int> ran{0};
  std::thread poster([&] {
    for (int i = 0; i < 100; ++i) {
      loop->Post([&] { ++ran; });
      const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
      while (ran <= i && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
      if (i % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    loop->Stop();
  });
  loop->Run();
  poster.join();
  EXPECT_EQ(ran, 100);
}

TEST_P(LoopTest, StopIsNotLostAndRunMayBeCalledAgain) {
  int ran = 0;
  loop->Stop();  // before it runs
  loop->Post([&] { ++ran; });
  loop->Run();
  EXPECT_EQ(ran, 1) << "what was posted before the last turn still runs";
  loop->Post([&] { ran = 100; });  // stopped: dropped
  std::thread stopper([&] { loop->Stop(); });
  loop->Run();
  stopper.join();
  EXPECT_EQ(ran, 1);
  loop->After(0, [&] { loop->Stop(); });
  loop->Run();
}

TEST_P(LoopTest, ALoopMayBeMadeByOneThreadAndRunByAnother) {
  Peer server;
  ListenFor(server);
  std::thread runner([&] {
    loop->Run();
    listener.reset();
    server.stream.reset();
    loop.reset();
  });
  RawSocket client(listener->local());
  EXPECT_TRUE(client.connected);
  loop->Stop();
  runner.join();
}

struct Noting : TurnHook {
  std::vector<int>* order = nullptr;
  int name = 0;
  std::function<void()> also;
  void OnTurnEnd() override {
    order->push_back(name);
    if (also) also();
  }
};

TEST_P(LoopTest, HooksRunInOrderAtTheEndOfEveryTurnAndMayRemoveThemselves) {
  std::vector<int> order;
  Noting first, second, third;
  int name = 0;
  for (Noting* hook : {&first, &second, &third}) {
    hook->order = &order;
    hook->name = ++name;
    loop->AddTurnHook(hook);
  }
  second.also = [&] { loop->RemoveTurnHook(&second); };
  loop->Post([&] { order.push_back(0); });
  loop->RunOnce(0);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
  order.clear();
  loop->RunOnce(0);
  EXPECT_EQ(order, (std::vector<int>{1, 3}));
  loop->RemoveTurnHook(&first);
  loop->RemoveTurnHook(&third);
}

TEST_P(LoopTest, WhatAHookWritesLeavesInTheSameTurn) {
  Peer client, server;
  ConnectPair(client, server);
  std::vector<int> order;
  Noting hook;
  hook.order = &order;
  hook.also = [&] {
    if (server.received.empty()) return;
    server.stream->Write("got " + std::exchange(server.received, {}));
  };
  loop->AddTurnHook(&hook);
  client.stream->Write("it");
  // A turn in which the request leaves, one in which it is answered, one in which that arrives.
  for (int turn = 0; turn < 4 && client.received.empty(); ++turn) loop->RunOnce(100 * kMillisecond);
  EXPECT_EQ(client.received, "got it");
  loop->RemoveTurnHook(&hook);
}

TEST_P(LoopTest, AnIdleLoopSleeps) {
  RunFor(2 * kMillisecond);
  const std::uint64_t before = loop->stats().turns;
  loop->After(50 * kMillisecond, [&] { loop->Stop(); });
  loop->Run();
  EXPECT_LE(loop->stats().turns - before, 20u);
}

TEST(TimerHeap, AgreesWithASortedMapUnderRandomUse) {
  Rng rng(7);
  TimerHeap heap;
  std::map<std::pair<Nanos, int>, TimerId> model;
  std::vector<int> fired, expected;
  Nanos now = 0;
  int name = 0;
  for (int step = 0; step < 20'000; ++step) {
    const std::uint64_t what = rng.Below(10);
    if (what < 5) {
      const Nanos due = now + static_cast<Nanos>(rng.Below(50));
      model[{due, name}] = heap.Add(due, [&fired, name] { fired.push_back(name); });
      ++name;
    } else if (what < 8 && !model.empty()) {
      auto victim = model.begin();
      std::advance(victim, static_cast<long>(rng.Below(std::min<std::size_t>(model.size(), 20))));
      heap.Cancel(victim->second);
      heap.Cancel(victim->second);
      model.erase(victim);
    } else {
      now += static_cast<Nanos>(rng.Below(10));
      heap.Run(now);
      while (!model.empty() && model.begin()->first.first <= now) {
        expected.push_back(model.begin()->first.second);
        model.erase(model.begin());
      }
      ASSERT_EQ(fired, expected);
    }
    ASSERT_EQ(heap.size(), model.size());
    ASSERT_EQ(heap.next_due(), model.empty() ? -1 : model.begin()->first.first);
  }
}

// How often the queue has signalled since the last call.
std::uint64_t Signals(const PostQueue& queue) {
  std::uint64_t count = 0;
  return read(queue.fd(), &count, sizeof count) == sizeof count ? count : 0;
}

TEST(PostQueue, WakesOncePerBatchAndNotWhileAwake) {
  PostQueue queue;
  ASSERT_TRUE(queue.Init());
  std::vector<std::function<void()>> work;
  for (int i = 0; i < 100; ++i) queue.Push([] {});
  EXPECT_EQ(Signals(queue), 0u) << "awake";
  EXPECT_FALSE(queue.BeginSleep()) << "there is work";
  queue.EndSleep(work);
  EXPECT_EQ(work.size(), 100u);
  work.clear();
  EXPECT_TRUE(queue.BeginSleep());
  for (int i = 0; i < 100; ++i) queue.Push([] {});
  EXPECT_EQ(Signals(queue), 1u);
  queue.EndSleep(work);
  EXPECT_EQ(work.size(), 100u);
  EXPECT_FALSE(queue.TakeStop());
  queue.Stop();
  EXPECT_FALSE(queue.BeginSleep());
  EXPECT_TRUE(queue.TakeStop());
  EXPECT_FALSE(queue.TakeStop()) << "taken";
}

}  // namespace
}  // namespace baiwan::net
