#include "net/post_queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

namespace baiwan::net {

PostQueue::~PostQueue() {
  if (fd_ >= 0) close(fd_);
}

bool PostQueue::Init() {
  fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return fd_ >= 0;
}

void PostQueue::Push(std::function<void()> work) {
  bool signal = false;
  {
    const std::lock_guard lock(mutex_);
    if (!open_) return;
    queue_.push_back(std::move(work));
    signal = std::exchange(sleeping_, false);
  }
  if (signal) Signal();
}

// All of it under the lock, also the signal: the loop sees a stop only when this is done.
void PostQueue::Stop() {
  const std::lock_guard lock(mutex_);
  stop_.store(true, std::memory_order_relaxed);
  woken_ = true;
  if (std::exchange(sleeping_, false)) Signal();
}

bool PostQueue::TakeStop() {
  if (!stop_.load(std::memory_order_relaxed)) return false;
  const std::lock_guard lock(mutex_);
  return stop_.exchange(false, std::memory_order_relaxed);
}

bool PostQueue::BeginSleep() {
  const std::lock_guard lock(mutex_);
  sleeping_ = queue_.empty() && !woken_;
  return sleeping_;
}

void PostQueue::EndSleep(std::vector<std::function<void()>>& work) {
  const std::lock_guard lock(mutex_);
  sleeping_ = false;
  woken_ = false;
  queue_.swap(work);
}

void PostQueue::Open() {
  const std::lock_guard lock(mutex_);
  open_ = true;
}

void PostQueue::Close() {
  std::vector<std::function<void()>> dropped;  // destroyed after the lock: destructors may post
  const std::lock_guard lock(mutex_);
  open_ = false;
  dropped.swap(queue_);
}

void PostQueue::Signal() const {
  const std::uint64_t one = 1;
  // It can fail only when the counter is full, and then the loop has been woken.
  [[maybe_unused]] const auto n = write(fd_, &one, sizeof one);
}

}  // namespace baiwan::net
