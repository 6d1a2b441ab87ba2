// The output of one stream, in two buffers: one fills while the other is being sent.
//
// Buffers come from a pool of the loop and go back when they are empty, so an idle stream holds no
// memory for output, and a busy loop writes into memory that is still in its cache.
//
// Threads: one. Failure: none; there is no bound here (see ByteStream::unsent).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace baiwan::net {

class BufferPool {
 public:
  explicit BufferPool(std::size_t most_bytes) : most_(most_bytes) {}

  std::string Take() {
    if (spare_.empty()) return {};
    std::string buffer = std::move(spare_.back());
    spare_.pop_back();
    held_ -= buffer.capacity();
    return buffer;
  }
  // Takes the memory, not what is in it.
  void Give(std::string&& buffer) {
    std::string mine = std::move(buffer);
    buffer = {};
    if (mine.capacity() < kSmallest || mine.capacity() > kLargest) return;
    if (held_ + mine.capacity() > most_) return;
    held_ += mine.capacity();
    mine.clear();
    spare_.push_back(std::move(mine));
  }

 private:
  static constexpr std::size_t kSmallest = 256;     // bytes worth keeping
  static constexpr std::size_t kLargest = 2 << 20;  // bytes; what is larger goes back to the heap

  const std::size_t most_;
  std::vector<std::string> spare_;
  std::size_t held_ = 0;
};

class StreamOutput {
 public:
  // What is being written. The reference is good until NextToSend.
  std::string& Filling(BufferPool& pool) {
    if (filling_.empty() && filling_.capacity() < 64) filling_ = pool.Take();
    return filling_;
  }
  std::size_t unsent() const { return filling_.size() + sending_.size() - sent_; }

  // What to send next. Its bytes stay where they are until Sent or Release, whatever is written.
  std::string_view NextToSend() {
    if (sent_ == sending_.size()) {
      sending_.clear();
      sent_ = 0;
      sending_.swap(filling_);
    }
    return std::string_view(sending_).substr(sent_);
  }
  void Sent(std::size_t bytes, BufferPool& pool) {
    sent_ += bytes;
    if (sent_ < sending_.size()) return;
    pool.Give(std::move(sending_));
    sent_ = 0;
  }
  // Forgets what is not yet handed to the kernel.
  void DropFilling() { filling_.clear(); }
  // Forgets everything. Not while a send is under way.
  void Release(BufferPool& pool) {
    pool.Give(std::move(filling_));
    pool.Give(std::move(sending_));
    sent_ = 0;
  }

 private:
  std::string filling_;
  std::string sending_;
  std::size_t sent_ = 0;  // bytes of sending_
};

}  // namespace baiwan::net
