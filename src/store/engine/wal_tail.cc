#include "store/engine/wal_tail.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "base/bytes.h"
#include "base/checksum.h"

namespace baiwan::store::internal {
namespace {

constexpr std::size_t kBlock = 32 << 10;
constexpr std::size_t kHeader = 4 + 2 + 1;

// RocksDB stores checksums rotated, so that a checksum over checksums means something.
std::uint32_t Masked(std::uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xA282'EAD8U; }

}  // namespace

bool TailIsDamaged(std::string_view tail) {
  std::size_t at = 0;
  while (tail.size() - at > kHeader) {
    Reader r(tail.substr(at));
    const std::uint32_t stored = r.U32();
    const std::size_t length = r.U16();
    const std::size_t left = tail.size() - at - kHeader;
    if (length <= left) {
      at += kHeader + length;  // whole: its checksum is RocksDB's to check
      continue;
    }
    // Cut off, or so it says. Its payload of any length is tried, byte by byte.
    std::uint32_t crc = Crc32c(tail.substr(at + kHeader - 1, 1));
    for (std::size_t n = 0;; ++n) {
      if (Masked(crc) == stored) return true;
      if (n == left) return false;
      crc = Crc32c(tail.substr(at + kHeader + n, 1), crc);
    }
  }
  return false;
}

std::string FindDamagedWal(const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() != ".log") continue;
    std::ifstream file(it->path(), std::ios::binary | std::ios::ate);
    const auto size = static_cast<std::streamoff>(file.tellg());
    if (!file || size <= 0) continue;
    // The last byte's block: a file that ends with a block has its tail in that one.
    file.seekg((size - 1) / static_cast<std::streamoff>(kBlock) *
               static_cast<std::streamoff>(kBlock));
    const std::string tail((std::istreambuf_iterator<char>(file)), {});
    if (TailIsDamaged(tail)) return it->path().string();
  }
  return {};
}

}  // namespace baiwan::store::internal
