// Work that other threads hand to a loop, and the eventfd that wakes the loop for it.
//
// The loop is woken once per batch, and not at all while it is awake: Push writes to the eventfd
// only if the loop has announced that it goes to sleep and nobody has woken it since.
//
// Threads: Push and Wake from any; the rest on the loop's. Failure: after Close, Push drops.
#pragma once

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
  // Ends a sleep, or keeps the next one from starting, without work.
  void Wake();

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
};

}  // namespace baiwan::net
