// Which of a user's messages are under way: submitted, and not known to be stored.
//
// Send ids within `span` of the highest stored one, as a ring of bits: adding, taking one back and
// "everything up to here is stored" cost no search, however many are under way. One thread.
#pragma once

#include <bit>
#include <cassert>
#include <cstdint>
#include <vector>

#include "base/ids.h"

namespace baiwan::stress {

class InFlight {
 public:
  explicit InFlight(std::uint32_t span) : bits_(std::bit_ceil(span + 64U) / 64) {}

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::uint64_t span() const { return bits_.size() * 64; }

  // Begins anew behind `stored`.
  void Clear(Seq stored) {
    if (size_ > 0) bits_.assign(bits_.size(), 0);
    size_ = 0;
    stored_ = stored;
  }
  // Above what is stored, at most span() higher, not there yet.
  void Add(Seq id) {
    assert(id > stored_ && id - stored_ <= span() && !Has(id));
    Word(id) |= Bit(id);
    ++size_;
  }
  // Whether it was there.
  bool Remove(Seq id) {
    if (id <= stored_ || id - stored_ > span() || !Has(id)) return false;
    Word(id) &= ~Bit(id);
    --size_;
    return true;
  }
  void RemoveUpTo(Seq stored) {
    if (stored <= stored_) return;
    if (stored - stored_ > span()) return Clear(stored);
    for (Seq id = stored_ + 1; id <= stored && size_ > 0;) {
      const Seq last = id | 63;  // of this word
      std::uint64_t mask = ~std::uint64_t{0} << (id & 63);
      if (last > stored) mask &= ~std::uint64_t{0} >> (63 - (stored & 63));
      size_ -= static_cast<std::size_t>(std::popcount(Word(id) & mask));
      Word(id) &= ~mask;
      id = last + 1;
    }
    stored_ = stored;
  }

 private:
  static std::uint64_t Bit(Seq id) { return std::uint64_t{1} << (id & 63); }
  std::uint64_t& Word(Seq id) { return bits_[(id >> 6) & (bits_.size() - 1)]; }
  bool Has(Seq id) { return (Word(id) & Bit(id)) != 0; }

  std::vector<std::uint64_t> bits_;
  std::size_t size_ = 0;
  Seq stored_ = 0;
};

}  // namespace baiwan::stress
