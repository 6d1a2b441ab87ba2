// Reads a page of a box: from its newest section, or a point that earlier walks have left, back
// along the links until the page's begin is found, keeping of what lies between only what can still
// be on the page.
//
// Threads: the store's loop. Never recursive: a step is a turn of a loop, or, where the block is
// not in memory, a read of the engine. Failure: damage anywhere on the way is kCorrupt; if the
// store is gone, nobody is called back.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "store/engine/kv.h"
#include "store/log/chain_index.h"
#include "store/log/recent_blocks.h"
#include "store/log/store.h"

namespace baiwan::store {

struct BoxRequest {
  UserId user = 0;
  wire::Box box = wire::Box::kOut;
  Lsn head = 0;
  Seq from = 1;
  std::uint32_t limit = 0;
  std::size_t max_bytes = 0;
};

// What a walk needs of its store, and whether that still lives.
struct WalkContext {
  Kv& kv;
  const RecentBlocks& recent;
  ChainIndex& index;
  std::weak_ptr<void> store;
  std::uint16_t stream;
  std::uint32_t max_steps;
};

class BoxWalk : public std::enable_shared_from_this<BoxWalk> {
 public:
  BoxWalk(WalkContext context, const BoxRequest& request, Store::ReadFn done);
  void Start();  // the walk keeps itself alive until it is done

 private:
  struct Piece {  // one section of the box
    std::unique_ptr<std::string> payload;
    Seq first = 0;
    std::uint64_t count = 0;
  };

  void Run();
  void OnBlock(KvError error, std::string_view block);
  StoreError Take(std::string_view block);
  void Trim();
  void Finish(StoreError error);
  bool Fill(BoxPage& page);

  WalkContext context_;
  const BoxRequest request_;
  Store::ReadFn done_;
  Lsn at_ = 0;            // the block to look at next
  WalkTrail trail_;       // left behind for the next walk
  bool waiting_ = false;  // for the engine
  bool running_ = false;  // Run is on the stack
  bool finished_ = false;
  std::deque<Piece> pieces_;  // oldest first; contiguous
  std::uint64_t messages_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace baiwan::store
