#include "verify/share_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "base/bytes.h"
#include "base/checksum.h"

namespace baiwan::verify {
namespace {

constexpr std::string_view kMagic = "BWVSHARE";
constexpr std::size_t kFrontBytes = 20;  // magic, version, length of the head
constexpr std::size_t kChecksumBytes = 4;
constexpr std::uint8_t kTextFlag = 1;
constexpr std::uint8_t kCompleteFlag = 2;

std::size_t OtherIndex(CellRange own, CellId other) {
  return other < own.first ? other : other - own.count();
}

void WriteSpec(const stress::WorkloadSpec& spec, bool complete, Writer& out) {
  out.U64(spec.seed);
  for (const std::uint32_t number :
       {spec.cells, spec.users_per_cell, spec.friends_in_cell, spec.friends_cross,
        spec.messages_per_friend, spec.rounds, spec.body_bytes, spec.partitions}) {
    out.U32(number);
  }
  out.U8(static_cast<std::uint8_t>((spec.text ? kTextFlag : 0) | (complete ? kCompleteFlag : 0)));
}

bool ReadSpec(Reader& in, stress::WorkloadSpec* spec, bool* complete) {
  spec->seed = in.U64();
  for (std::uint32_t* number :
       {&spec->cells, &spec->users_per_cell, &spec->friends_in_cell, &spec->friends_cross,
        &spec->messages_per_friend, &spec->rounds, &spec->body_bytes, &spec->partitions}) {
    *number = in.U32();
  }
  const std::uint8_t flags = in.U8();
  spec->text = (flags & kTextFlag) != 0;
  *complete = (flags & kCompleteFlag) != 0;
  return in.ok() && flags <= (kTextFlag | kCompleteFlag) && !stress::Validate(*spec);
}

std::vector<std::uint64_t*> Totals(VerifyReport& r) {
  std::vector<std::uint64_t*> all;
  for (std::uint64_t& count : r.counts) all.push_back(&count);
  for (std::uint64_t* total : {&r.users, &r.relations, &r.sent, &r.stored, &r.delivered,
                               &r.acknowledged, &r.distinct, &r.voids, &r.disk_bytes}) {
    all.push_back(total);
  }
  return all;
}

void WriteTexts(const std::vector<std::string>& texts, Writer& out) {
  const std::size_t kept = std::min(texts.size(), kShareTexts);
  out.Varint(kept + (kept < texts.size() ? 1 : 0));
  for (std::size_t i = 0; i < kept; ++i) {
    out.Sized(std::string_view(texts[i]).substr(0, kShareTextBytes));
  }
  if (kept < texts.size()) out.Sized(fmt::format("… and {} more", texts.size() - kept));
}

bool ReadTexts(Reader& in, std::vector<std::string>* texts) {
  const std::uint64_t count = in.Varint();
  if (count > kShareTexts + 1) return false;
  for (std::uint64_t i = 0; i < count; ++i) texts->emplace_back(in.Sized());
  return in.ok();
}

void WriteReport(VerifyReport report, Writer& out) {
  for (const std::uint64_t* total : Totals(report)) out.U64(*total);
  out.U64(static_cast<std::uint64_t>(report.seconds * 1000));
  out.Varint(report.listed.size());
  for (const Mismatch& m : report.listed) {
    out.U8(static_cast<std::uint8_t>(m.kind));
    out.Varint(m.count);
    out.Sized(std::string_view(m.what).substr(0, kShareTextBytes));
  }
  WriteTexts(report.errors, out);
  WriteTexts(report.notes, out);
}

bool ReadReport(Reader& in, VerifyReport* report) {
  for (std::uint64_t* total : Totals(*report)) *total = in.U64();
  report->seconds = static_cast<double>(in.U64()) / 1000;
  const std::uint64_t listed = in.Varint();
  if (listed > kListed) return false;
  for (std::uint64_t i = 0; i < listed; ++i) {
    const std::uint8_t kind = in.U8();
    const std::uint64_t count = in.Varint();
    if (kind >= kKinds) return false;
    report->listed.push_back({static_cast<Kind>(kind), count, std::string(in.Sized())});
  }
  return ReadTexts(in, &report->errors) && ReadTexts(in, &report->notes);
}

// Eight users a byte, the first in the lowest bit.
void WriteBits(const std::vector<bool>& bits, Writer& out) {
  for (std::size_t i = 0; i < bits.size(); i += 8) {
    unsigned byte = 0;
    for (std::size_t k = i; k < std::min(i + 8, bits.size()); ++k) {
      byte |= (bits[k] ? 1u : 0u) << (k - i);
    }
    out.U8(static_cast<std::uint8_t>(byte));
  }
}

std::vector<bool> ReadBits(std::string_view bytes, std::size_t count) {
  std::vector<bool> bits(count);
  for (std::size_t i = 0; i < count; ++i) {
    bits[i] = (static_cast<unsigned char>(bytes[i / 8]) >> (i % 8) & 1) != 0;
  }
  return bits;
}

std::string Why(const std::string& path, std::string_view what) {
  return fmt::format("share {} {}: make it anew", path, what);
}

}  // namespace

// ---------------------------------------------------------------- writing

SharedPairs::SharedPairs(const stress::WorkloadSpec& spec, CellRange own)
    : own_(own), others_(spec.cells - own.count()), blocks_(std::size_t{own.count()} * others_) {}

void SharedPairs::Add(CellId own, CellId other, const SharedPair& pair) {
  Writer out(blocks_[std::size_t{own - own_.first} * others_ + OtherIndex(own_, other)]);
  out.Varint(pair.sent);
  out.Varint(pair.acked);
  out.Varint(pair.received);
}

std::string SharedPairs::Encode(const ShareHead& head) const {
  std::string bytes;
  Writer out(bytes);
  WriteSpec(head.spec, head.report.complete, out);
  out.U32(head.own.first);
  out.U32(head.own.last);
  WriteReport(head.report, out);
  std::size_t all = 0;
  for (const std::string& block : blocks_) {
    out.U64(block.size());
    all += block.size();
  }
  WriteBits(head.read, out);

  std::string file(kMagic);
  file.reserve(kFrontBytes + bytes.size() + all + kChecksumBytes);
  Writer to(file);
  to.U32(kShareVersion);
  to.U64(bytes.size());
  to.Bytes(bytes);
  for (const std::string& block : blocks_) to.Bytes(block);
  to.U32(Crc32c(file));
  return file;
}

// ---------------------------------------------------------------- reading

Result<std::unique_ptr<ShareFile>, std::string> ShareFile::Open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fmt::format("cannot read share {}: {}", path, std::strerror(errno));
  std::unique_ptr<ShareFile> share(new ShareFile(path, std::move(fd)));
  if (auto wrong = share->ReadAll()) return *wrong;
  return share;
}

std::optional<std::string> ShareFile::ReadAt(std::uint64_t at, std::size_t bytes,
                                             std::string* out) const {
  out->resize(bytes);
  for (std::size_t done = 0; done < bytes;) {
    const ssize_t n =
        ::pread(fd_.get(), out->data() + done, bytes - done, static_cast<off_t>(at + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fmt::format("cannot read share {}: {}", path_, std::strerror(errno));
    if (n == 0) return Why(path_, "is cut off");
    done += static_cast<std::size_t>(n);
  }
  return std::nullopt;
}

std::optional<std::string> ShareFile::ReadAll() {
  constexpr std::size_t kChunk = 1 << 20;
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return fmt::format("{} is not a file", path_);
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  std::string bytes;
  if (auto wrong = ReadAt(0, std::min<std::uint64_t>(size, kFrontBytes), &bytes)) return wrong;
  Reader front(bytes);
  if (front.Bytes(kMagic.size()) != kMagic) {
    return fmt::format("{} is not a share of a verification", path_);
  }
  const std::uint32_t version = front.U32();
  const std::uint64_t head_bytes = front.U64();
  if (!front.ok()) return Why(path_, "is cut off");
  if (version != kShareVersion) {
    return fmt::format(
        "share {} has format version {}, this program knows {}: use the program "
        "that wrote it",
        path_, version, kShareVersion);
  }
  if (size < kFrontBytes + kChecksumBytes || head_bytes > size - kFrontBytes - kChecksumBytes) {
    return Why(path_, "is cut off");
  }
  const std::uint64_t checked = size - kChecksumBytes;
  std::uint32_t crc = 0;
  for (std::uint64_t at = 0; at < checked; at += bytes.size()) {
    if (auto wrong = ReadAt(at, std::min<std::uint64_t>(checked - at, kChunk), &bytes)) {
      return wrong;
    }
    crc = Crc32c(bytes, crc);
  }
  if (auto wrong = ReadAt(checked, kChecksumBytes, &bytes)) return wrong;
  if (Reader(bytes).U32() != crc) return Why(path_, "is damaged or cut off (its checksum)");
  if (auto wrong = ReadAt(kFrontBytes, head_bytes, &bytes)) return wrong;
  return ParseHead(bytes, checked - kFrontBytes - head_bytes);
}

std::optional<std::string> ShareFile::ParseHead(std::string_view bytes,
                                                std::uint64_t blocks_bytes) {
  const auto contradiction = [this] { return Why(path_, "contradicts itself"); };
  Reader in(bytes);
  if (!ReadSpec(in, &head_.spec, &head_.report.complete)) return contradiction();
  head_.own = {in.U32(), in.U32()};
  if (!in.ok() || head_.own.first > head_.own.last || head_.own.last >= head_.spec.cells ||
      !ReadReport(in, &head_.report)) {
    return contradiction();
  }
  const std::size_t blocks =
      std::size_t{head_.own.count()} * (head_.spec.cells - head_.own.count());
  offsets_.push_back(kFrontBytes + bytes.size());
  std::uint64_t left = blocks_bytes;
  for (std::size_t i = 0; i < blocks && in.ok(); ++i) {
    const std::uint64_t length = in.U64();
    if (length > left) return contradiction();
    left -= length;
    offsets_.push_back(offsets_.back() + length);
  }
  const std::size_t users = std::size_t{head_.own.count()} * head_.spec.users_per_cell;
  if (!in.ok() || left != 0 || in.left() != (users + 7) / 8) return contradiction();
  head_.read = ReadBits(in.Bytes(in.left()), users);
  return std::nullopt;
}

Result<std::vector<SharedPair>, std::string> ShareFile::Pairs(CellId own, CellId other,
                                                              std::size_t count) const {
  const std::size_t block =
      std::size_t{own - head_.own.first} * (head_.spec.cells - head_.own.count()) +
      OtherIndex(head_.own, other);
  std::string bytes;
  const std::uint64_t at = offsets_[block];
  if (auto wrong = ReadAt(at, offsets_[block + 1] - at, &bytes)) return *wrong;
  Reader in(bytes);
  std::vector<SharedPair> pairs;
  bool narrow = true;
  const auto next = [&in, &narrow] {
    const std::uint64_t number = in.Varint();
    narrow = narrow && number <= std::numeric_limits<std::uint32_t>::max();
    return static_cast<std::uint32_t>(number);
  };
  while (in.ok() && !in.done() && pairs.size() < count) {
    SharedPair& pair = pairs.emplace_back();
    pair.sent = next();
    pair.acked = next();
    pair.received = next();
  }
  if (in.ok() && in.done() && narrow && pairs.size() == count) return pairs;
  return fmt::format(
      "share {}: what it says of friends in cells {} and {} is not of this workload: "
      "make it anew",
      path_, own, other);
}

bool LooksLikeShare(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char bytes[kMagic.size()];
  return fd && ::pread(fd.get(), bytes, sizeof bytes, 0) == ssize_t{sizeof bytes} &&
         std::string_view(bytes, sizeof bytes) == kMagic;
}

}  // namespace baiwan::verify
