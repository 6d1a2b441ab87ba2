// What a logic server knows of another cell's store, and how far it has compared all pairs with it.
//
// The problem: a store that was put back from a copy lacks what its cell had acknowledged, and what
// is acknowledged is offered no more. So whoever meets a store that is not what it was offers *all*
// pairs with its cell, and goes back where that has less.
//
// A store is known by its life, by the opening that speaks, and by the position up to which its log
// is durable, which each batch tells. Within a life positions only rise: an opening that begins
// below what was told before is of a copy. Positions are judged at the first word of an opening
// only; later ones may come over two links in any order.
//
// Offers go in windows: the next one begins when all of the last were dealt with, so that a
// session that ends costs one window. Threads: one loop. Bounds: a window, and the path's credit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/ids.h"

namespace baiwan::cell {

// What another cell has told of its store.
class KnownStore {
 public:
  KnownStore() = default;
  // As remembered from before this process.
  KnownStore(std::uint64_t life, std::uint64_t opening, Lsn position)
      : met_(true), life_(life), position_(position), opening_(opening) {}

  enum class Word : std::uint8_t {
    kNothingNew,
    kFirst,       // nothing was known of it
    kNewOpening,  // the same store, opened anew
    kGoneBack,    // another life, or less than there was
  };
  Word Told(std::uint64_t life, std::uint64_t opening, Lsn opened_at, Lsn position);

  std::uint64_t life() const { return life_; }
  std::uint64_t opening() const { return opening_; }
  Lsn position() const { return position_; }

 private:
  bool met_ = false;
  std::uint64_t life_ = 0;
  Lsn position_ = 0;
  std::uint64_t opening_ = 0;  // 0: not heard of yet
  // What comes late of openings that are over says nothing.
  std::array<std::uint64_t, 8> former_{};
  std::size_t oldest_ = 0;
};

// How far all pairs with one cell were offered.
struct Comparing {
  struct Place {
    std::size_t partition = 0;  // among those of this cell
    UserId after = 0;           // in it
  };
  bool active = false;
  bool all = false;  // also what waits, and where nothing was sent: our own store was put back
  bool all_offered = false;
  Place place;                // where the next user is
  Place answered_to;          // up to here everything was dealt with
  std::uint64_t offered = 0;  // in this session
  std::uint64_t answered = 0;
  std::uint64_t window = 0;  // offered before the present window
  std::uint32_t parked = 0;  // answers that wait for their user to be loaded
};

}  // namespace baiwan::cell
