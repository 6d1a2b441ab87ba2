// What the load client was told, kept where a restart of the servers cannot reach it: per user the
// highest SendId and SendAckId of any answer. A server that knows less, now or in its stopped
// store, has lost messages that it had acknowledged.
//
// A file of fixed records, mapped into memory and written in place: no system call per answer, and
// whatever was told survives the death of the process at any instruction (not that of the host,
// after which the ledger may be behind: it stays a lower bound). Each record has two slots with a
// checksum each, written in turn, so that half a write leaves the other one. Layout, little endian:
//
//   header   64 bytes: "BWLEDGER", u32 version (1), u32 bytes of a record (64), u64 records,
//            u32 crc32c of these 24 bytes, zeros
//   record   two slots of 32 bytes: u64 user, u64 SendId, u64 SendAckId, u32 crc32c of these 24
//            bytes, u32 zero. A slot of zeros was never written.
//
// Threads: one. Failure: opening gives a sentence with the way out; space is reserved then, so that
// writing cannot fail later.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "stress/cell_graph.h"

namespace baiwan::stress {

class Ledger {
 public:
  struct Entry {
    UserId user = 0;
    Seq send_id = 0;
    Seq send_ack_id = 0;
  };

  // The ledger of the users of `graph`, by their index in it: created, or continued if it is there.
  // Refused while another process has it open, or if it is of other users.
  static Result<std::unique_ptr<Ledger>, std::string> Open(const std::string& path,
                                                           const CellGraph& graph);
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // Remembers the higher of each. `index` is below graph.users().
  void Told(std::size_t index, Seq send_id, Seq send_ack_id);
  // False if a server that answers these has forgotten what was told.
  bool Covers(std::size_t index, Seq send_id, Seq send_ack_id) const {
    return told_[index].send_id <= send_id && told_[index].send_ack_id <= send_ack_id;
  }
  const Entry& told(std::size_t index) const { return told_[index]; }

 private:
  Ledger(int fd, unsigned char* map, std::size_t bytes) : fd_(fd), map_(map), bytes_(bytes) {}

  int fd_;
  unsigned char* map_;
  std::size_t bytes_;
  std::vector<Entry> told_;
  std::vector<std::uint8_t> newest_slot_;
};

struct LedgerContent {
  std::vector<Ledger::Entry> entries;  // of users of whom something was told, by index
  std::uint64_t damaged = 0;           // records with no good slot: what they said is not known
};
// For the verifier. A ledger that is not there is an error.
Result<LedgerContent, std::string> ReadLedger(const std::string& path);

}  // namespace baiwan::stress
