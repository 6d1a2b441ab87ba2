// Walks through a box: from its newest section, or a point that earlier walks have left, back along
// the links. PageWalk reads a page, keeping of what lies on the way only what can still be on it;
// FindWalk looks for single messages, keeping nothing.
//
// Threads: the store's loop. Never recursive: a step is a turn of a loop, or, where the block is
// not in memory, a read of the engine. Failure: damage anywhere on the way is kCorrupt; a walk that
// nobody wants any more ends with kCancelled at its next step; if the store is gone, nobody is
// called back. What a walk holds is charged to the budget's store account.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/budget.h"
#include "store/engine/kv.h"
#include "store/log/block.h"
#include "store/log/chain_index.h"
#include "store/log/recent_blocks.h"
#include "store/log/store.h"

namespace baiwan::store {

// What the walks through a store hold, charged to a budget if there is one. It lives and ends with
// the store, which some walks do not see.
class WalkMemory {
 public:
  explicit WalkMemory(Budget* budget) : budget_(budget) {}
  ~WalkMemory() { Change(held_, 0); }
  WalkMemory(const WalkMemory&) = delete;
  WalkMemory& operator=(const WalkMemory&) = delete;

  void Change(std::size_t from, std::size_t to) {
    held_ += to - from;
    if (budget_ == nullptr) return;
    if (to > from) {
      budget_->ChargeAlways(Account::kStore, to - from);
    } else {
      budget_->Release(Account::kStore, from - to);
    }
  }

 private:
  Budget* const budget_;
  std::size_t held_ = 0;
};

// What a walk needs of its store, and whether that still lives.
struct WalkContext {
  Kv& kv;
  const RecentBlocks& recent;
  ChainIndex& index;
  std::weak_ptr<WalkMemory> store;
  std::uint16_t stream;
  std::uint32_t max_steps;
};

class BoxWalk : public std::enable_shared_from_this<BoxWalk> {
 public:
  BoxWalk(WalkContext context, UserId user, wire::Box box, Wanted wanted);
  virtual ~BoxWalk();
  BoxWalk(const BoxWalk&) = delete;
  BoxWalk& operator=(const BoxWalk&) = delete;
  void Start();  // the walk keeps itself alive until it is done

 protected:
  virtual Seq down_to() const = 0;  // the section with this one is the last
  // The next older section. False: it does not read back.
  virtual bool OnSection(std::string_view payload, BoxSection section) = 0;
  virtual std::size_t held_bytes() const { return 0; }
  // The last call.
  virtual void OnEnd(StoreError error) = 0;

  WalkContext context_;
  const UserId user_;
  const wire::Box box_;
  Lsn at_ = 0;  // the block to look at next

 private:
  void Run();
  void OnBlock(KvError error, std::string_view block);
  StoreError Take(std::string_view block);
  void Finish(StoreError error);
  void Hold(std::size_t bytes);

  const Wanted wanted_;
  WalkTrail trail_;       // left behind for the next walk
  Seq newer_ = 0;         // the first sequence of the section taken last
  bool waiting_ = false;  // for the engine
  bool running_ = false;  // Run is on the stack
  bool finished_ = false;
  std::size_t held_ = 0;  // as charged
};

struct PageRequest {
  UserId user = 0;
  wire::Box box = wire::Box::kOut;
  Lsn head = 0;
  Seq from = 1;
  std::uint32_t limit = 0;
  std::size_t max_bytes = 0;
};

class PageWalk final : public BoxWalk {
 public:
  PageWalk(WalkContext context, const PageRequest& request, Wanted wanted, Store::ReadFn done);

 private:
  struct Piece {  // one section of the box
    std::unique_ptr<std::string> payload;
    Seq first = 0;
    std::uint64_t count = 0;
  };

  Seq down_to() const override { return request_.from; }
  bool OnSection(std::string_view payload, BoxSection section) override;
  std::size_t held_bytes() const override { return bytes_; }
  void OnEnd(StoreError error) override;
  void Trim();
  bool Fill(BoxPage& page);

  const PageRequest request_;
  const Store::ReadFn done_;
  std::deque<Piece> pieces_;  // oldest first; contiguous
  std::uint64_t messages_ = 0;
  std::size_t bytes_ = 0;
};

class FindWalk final : public BoxWalk {
 public:
  // `seqs` rise; at least one.
  FindWalk(WalkContext context, UserId user, wire::Box box, Lsn head, std::vector<Seq> seqs,
           Wanted wanted, Store::FoundFn found, Store::FindFn done);

 private:
  Seq down_to() const override { return lowest_; }
  bool OnSection(std::string_view payload, BoxSection section) override;
  std::size_t held_bytes() const override { return seqs_.size() * sizeof(Seq); }
  void OnEnd(StoreError error) override { done_(error); }

  std::vector<Seq> seqs_;  // still to be found
  const Seq lowest_;
  const Store::FoundFn found_;
  const Store::FindFn done_;
};

}  // namespace baiwan::store
