// Work that other threads hand to a loop, and the eventfd that wakes the loop for it.
//
// The loop is woken once per batch, and not at all while it is awake: Push writes to the eventfd
// only if the loop has announced that it goes to sleep and nobody has woken it since.
//
// Threads: Push and Stop from any; the rest on the loop's. The queue outlives every Push, but not
// every Stop: a stopped loop may go while that is on its way back. Failure: after Close, Push
// drops.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <vector>

namespace baiwan::net {

class PostQueue {
 public:
  PostQueue() = default;
  ~PostQueue();
  PostQueue(const PostQueue&) = delete;
  PostQueue& operator=(const PostQueue&) = delete;

  // Makes the eventfd. False: no file descriptor is left.
  bool Init();
  // Non-blocking; becomes readable when the loop is to wake up.
  int fd() const { return fd_; }

  void Push(std::function<void()> work);
  // Ends a sleep, or keeps the next one from starting, without work, for TakeStop to tell why.
  void Stop();
  // Whether there was a Stop since the last time.
  bool TakeStop();

  // The loop is about to wait. False: it must not, something is there.
  bool BeginSleep();
  // The loop is awake; exchanges what is queued with `work`, which is empty.
  void EndSleep(std::vector<std::function<void()>>& work);

  // From now on (not) taking work; what is queued when it closes is dropped.
  void Open();
  void Close();

 private:
  void Signal() const;

  int fd_ = -1;
  std::mutex mutex_;
  std::vector<std::function<void()>> queue_;
  bool open_ = true;
  bool sleeping_ = false;
  bool woken_ = false;
  std::atomic<bool> stop_{false};  // written under mutex_
};

}  // namespace baiwan::net
