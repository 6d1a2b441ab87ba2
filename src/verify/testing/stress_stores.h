// The stores that a stress test leaves behind, written by the real writer, with whatever a test
// changed in the boxes before: how the verifier is shown real mistakes.
//
// First everything that users would have sent is put into boxes in memory; then the test changes
// some; then Write commits them, step by step, as logic servers would. Checksums are whatever the
// boxes say; sections, blocks and snapshots are proper.
//
// One thread. Failures are reported to GoogleTest.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "base/testing/temp_folder.h"
#include "store/engine/kv.h"
#include "store/log/store.h"
#include "stress/cell_graph.h"
#include "stress/workload.h"
#include "verify/verify.h"
#include "wire/user_record.h"

namespace baiwan::verify::testing {

// What was found, kind by kind.
struct Counts {
  std::uint64_t lost = 0, duplicated = 0, reordered = 0, altered = 0, foreign = 0, counter = 0;
  bool operator==(const Counts&) const = default;
};
Counts CountsOf(const VerifyReport& report);
std::ostream& operator<<(std::ostream& out, const Counts& c);

struct Entry {
  Seq seq = 0;
  UserId peer = 0;
  Seq pair_seq = 0;
  Seq send_id = 0;
  std::uint32_t checksum = 0;
  bool is_void = false;
  std::string body;
};

struct Boxes {
  std::vector<Entry> out;
  std::vector<Entry> in;
  std::map<UserId, Seq> unacked;  // of messages to a friend, how many at the end; default none
  bool missing = false;           // not imported, and never heard of
};

class StressStores {
 public:
  // A small workload: 3 cells of 10 users, 6 friends each, 6 messages for each.
  static stress::WorkloadSpec SmallSpec();
  static constexpr std::uint64_t kSmallMessages = std::uint64_t{30} * 6 * 6;  // so many in all

  // The cells are dealt out to so many stores.
  explicit StressStores(const stress::WorkloadSpec& spec = SmallSpec(), unsigned stores = 3);

  const std::vector<UserId>& users() const { return users_; }
  Boxes& of(UserId user) { return boxes_.at(user); }
  UserId UserOf(CellId cell, std::size_t index) const;
  // Removes, repeats (behind itself) or exchanges entries; those of an inbox are numbered again,
  // those of an outbox keep the place that they stand in.
  void Renumber(UserId user);
  // A new checksum for an entry of a box, of what stands there now.
  void Seal(UserId user, bool out, std::size_t at);

  struct WriteOptions {
    bool stop_clean = true;  // everybody's snapshot is written at the end
    std::size_t batch = 3;   // entries of each box in a commit
    // When half is written, store 0 is closed and copied to here, and goes on after a restart.
    std::string copy_at_half;
    // May change a snapshot before it is written.
    std::function<void(wire::UserRecord&)> snapshot;
  };
  void Write(const WriteOptions& options);

  const std::vector<std::string>& paths() const { return paths_; }
  // For everything that was written, with two threads.
  VerifyOptions options() const;
  VerifyReport Verify() const { return VerifyStores(options()); }
  // The ledger of a client that was told everything.
  std::string WriteLedger();
  std::string folder() const { return folder_.path(); }
  const stress::WorkloadSpec& spec() const { return spec_; }

  // What stands in a store, to be changed byte by byte.
  using Edit = std::function<void(store::Kv&)>;
  void EditStore(std::size_t store, const Edit& edit);

 private:
  class Writer;

  void Send();

  const stress::WorkloadSpec spec_;
  TempFolder folder_;
  std::vector<stress::CellGraph> graphs_;
  std::vector<UserId> users_;
  std::map<UserId, Boxes> boxes_;
  std::vector<std::string> paths_;
};

}  // namespace baiwan::verify::testing
