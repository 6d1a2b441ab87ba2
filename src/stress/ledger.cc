#include "stress/ledger.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/file.h"

namespace baiwan::stress {
namespace {

constexpr std::string_view kMagic = "BWLEDGER";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 64;
constexpr std::size_t kSlotBytes = 32;
constexpr std::size_t kRecordBytes = 2 * kSlotBytes;
constexpr std::size_t kChecked = 24;  // bytes of a header or slot that its checksum covers

std::string Checked(std::string content, std::size_t bytes) {
  Writer(content).U32(Crc32c(content));
  content.resize(bytes, '\0');
  return content;
}

std::string Header(std::uint64_t records) {
  std::string out(kMagic);
  Writer w(out);
  w.U32(kVersion);
  w.U32(kRecordBytes);
  w.U64(records);
  return Checked(std::move(out), kHeaderBytes);
}

// The number of records, or why this is not the header of a ledger.
Result<std::uint64_t, std::string> ParseHeader(std::string_view header) {
  Reader in(header);
  if (in.Bytes(kMagic.size()) != kMagic) return std::string("is not a ledger");
  const std::uint32_t version = in.U32();
  if (version != kVersion) {
    return fmt::format("is a ledger of format version {}, this program knows {}", version,
                       kVersion);
  }
  const std::uint32_t record = in.U32();
  const std::uint64_t records = in.U64();
  if (in.U32() != Crc32c(header.substr(0, kChecked)) || !in.ok() || record != kRecordBytes) {
    return std::string("has a damaged header");
  }
  return records;
}

struct Slot {
  Ledger::Entry entry;
  bool good = false;
  bool empty = false;
};

Slot ParseSlot(std::string_view bytes) {
  Slot slot;
  Reader in(bytes);
  slot.entry = {in.U64(), in.U64(), in.U64()};
  slot.good = in.U32() == Crc32c(bytes.substr(0, kChecked)) && slot.entry.user != 0;
  slot.empty = bytes.find_first_not_of('\0') == std::string_view::npos;
  return slot;
}

struct Record {
  Ledger::Entry entry;  // zeros if nothing was told
  std::uint8_t newest = 1;
  bool damaged = false;
};

Record ParseRecord(std::string_view bytes) {
  const Slot slots[2] = {ParseSlot(bytes.substr(0, kSlotBytes)),
                         ParseSlot(bytes.substr(kSlotBytes, kSlotBytes))};
  Record record;
  for (std::uint8_t i = 0; i < 2; ++i) {
    const Ledger::Entry& e = slots[i].entry;
    if (!slots[i].good) continue;
    if (record.entry.user != 0 &&
        e.send_id + e.send_ack_id <= record.entry.send_id + record.entry.send_ack_id) {
      continue;
    }
    record.entry = e;
    record.newest = i;
  }
  record.damaged = record.entry.user == 0 && !(slots[0].empty || slots[1].empty);
  return record;
}

std::string Why(const std::string& path, std::string_view what) {
  return fmt::format("{}: {}: {}", path, what, std::strerror(errno));
}

// Makes the file as long as it has to be, on disk too. The error, or nothing.
std::string Reserve(int fd, const std::string& path, std::size_t bytes, std::uint64_t records) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return Why(path, "cannot be looked at");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == bytes) return "";
  if (size >= kHeaderBytes) {
    std::string header(kHeaderBytes, '\0');
    if (pread(fd, header.data(), header.size(), 0) != static_cast<ssize_t>(header.size())) {
      return Why(path, "cannot be read");
    }
    if (header.find_first_not_of('\0') != std::string::npos) {  // not one that died being made
      const auto parsed = ParseHeader(header);
      if (!parsed) return fmt::format("{} {}: delete it or choose another", path, parsed.error());
      return fmt::format("{} is of {} users, this test has {}: delete it or choose another", path,
                         *parsed, records);
    }
  }
  if (const int error = posix_fallocate(fd, 0, static_cast<off_t>(bytes)); error != 0) {
    errno = error;
    return Why(path, fmt::format("no room for {} bytes", bytes));
  }
  return "";
}

}  // namespace

Result<std::unique_ptr<Ledger>, std::string> Ledger::Open(const std::string& path,
                                                          const CellGraph& graph) {
  const std::size_t records = graph.users();
  const std::size_t bytes = kHeaderBytes + records * kRecordBytes;
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return Why(path, "cannot be opened for writing");
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return fmt::format("{} is in use by another process", path);
  }
  if (auto wrong = Reserve(fd.get(), path, bytes, records); !wrong.empty()) return wrong;
  void* map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (map == MAP_FAILED) return Why(path, "cannot be mapped into memory");
  std::unique_ptr<Ledger> ledger(new Ledger(fd.Release(), static_cast<unsigned char*>(map), bytes));

  const std::string_view content(static_cast<const char*>(map), bytes);
  if (content.substr(0, kHeaderBytes).find_first_not_of('\0') == std::string_view::npos) {
    const std::string header = Header(records);
    std::memcpy(map, header.data(), header.size());
  }
  const auto count = ParseHeader(content.substr(0, kHeaderBytes));
  if (!count) return fmt::format("{} {}: delete it or choose another", path, count.error());
  ledger->told_.resize(records);
  ledger->newest_slot_.resize(records);
  for (std::size_t i = 0; i < records; ++i) {
    const Record r = ParseRecord(content.substr(kHeaderBytes + i * kRecordBytes, kRecordBytes));
    if (r.entry.user != 0 && r.entry.user != graph.user(i)) {
      return fmt::format(
          "{} is of other users (record {} is of user {}, here it is {}): delete it "
          "or choose another",
          path, i, r.entry.user, graph.user(i));
    }
    ledger->told_[i] = {graph.user(i), r.entry.send_id, r.entry.send_ack_id};
    ledger->newest_slot_[i] = r.newest;
  }
  return ledger;
}

Ledger::~Ledger() {
  munmap(map_, bytes_);
  close(fd_);
}

void Ledger::Told(std::size_t index, Seq send_id, Seq send_ack_id) {
  Entry& told = told_[index];
  if (send_id <= told.send_id && send_ack_id <= told.send_ack_id) return;
  told.send_id = std::max(told.send_id, send_id);
  told.send_ack_id = std::max(told.send_ack_id, send_ack_id);
  const std::uint64_t content[3] = {told.user, told.send_id, told.send_ack_id};
  static_assert(sizeof content == kChecked);
  const std::uint32_t crc = Crc32c({reinterpret_cast<const char*>(content), sizeof content});
  newest_slot_[index] ^= 1;
  unsigned char* slot =
      map_ + kHeaderBytes + index * kRecordBytes + newest_slot_[index] * kSlotBytes;
  std::memcpy(slot, content, sizeof content);
  std::memcpy(slot + kChecked, &crc, sizeof crc);
  // The next write to this record goes to the other slot and must not begin before this one ends.
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

Result<LedgerContent, std::string> ReadLedger(const std::string& path) {
  constexpr std::size_t kMost = kHeaderBytes + kRecordBytes * std::size_t{kMaxUsersPerCell};
  const auto file = ReadFile(path, kMost);
  if (!file) return file.error();
  const std::string_view content = *file;
  const auto records = ParseHeader(content.substr(0, kHeaderBytes));
  if (!records) return fmt::format("{} {}", path, records.error());
  if (*records > kMaxUsersPerCell || content.size() != kHeaderBytes + *records * kRecordBytes) {
    return fmt::format("{} has {} bytes, not those of {} records", path, content.size(), *records);
  }
  LedgerContent out;
  for (std::size_t i = 0; i < *records; ++i) {
    const Record r = ParseRecord(content.substr(kHeaderBytes + i * kRecordBytes, kRecordBytes));
    if (r.damaged) ++out.damaged;
    if (r.entry.user != 0) out.entries.push_back(r.entry);
  }
  return out;
}

}  // namespace baiwan::stress
