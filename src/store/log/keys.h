// The keys of the store, byte by byte (docs/formats.md): the only place that builds or reads them.
//
// Pure. Key parts are big endian, so that keys sort as their numbers do.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/ids.h"

namespace baiwan::store {

inline constexpr std::size_t kLogKeyBytes = 10;
inline constexpr std::size_t kSnapKeyBytes = 12;

inline std::string LogKey(std::uint16_t stream, Lsn lsn) {
  std::string key;
  Writer w(key);
  w.U16Be(stream);
  w.U64Be(lsn);
  return key;
}

// What follows every key of `stream`; empty for the last stream: the end of the space.
inline std::string LogEnd(std::uint16_t stream) {
  return stream == 0xFFFF ? std::string() : LogKey(static_cast<std::uint16_t>(stream + 1), 0);
}

// The position in a log key; nothing if it is not one.
inline std::optional<Lsn> LsnOf(std::string_view key) {
  if (key.size() != kLogKeyBytes) return std::nullopt;
  Reader r(key);
  r.U16Be();
  return r.U64Be();
}

inline std::string SnapKey(PartitionId partition, UserId user) {
  std::string key;
  Writer w(key);
  w.U32Be(partition);
  w.U64Be(user);
  return key;
}

// What follows every snapshot of `partition`.
inline std::string SnapEnd(PartitionId partition) {
  return partition == 0xFFFF'FFFF ? std::string() : SnapKey(partition + 1, 0);
}

inline constexpr std::uint64_t kNamelessFormat = 1;  // does not say whose it is, see identity.h
inline constexpr std::uint64_t kStoreFormat = 2;
inline constexpr std::string_view kFormatKey = "format";
inline constexpr std::string_view kDeploymentKey = "deployment";
inline constexpr std::string_view kCellsKey = "cells";
inline constexpr std::string_view kPartitionsKey = "partitions";
inline constexpr std::string_view kLifeKey = "life";
inline constexpr std::string_view kClaimKey = "claim";
inline constexpr std::string_view kClaimingKey = "claiming";
// One for each stream: whose it is.
inline constexpr std::string_view kStreamCellPrefix = "cell/";
inline constexpr std::string_view kIncarnationPrefix = "incarnation/";
inline std::string IncarnationKey(std::uint16_t stream) {
  return fmt::format("incarnation/{}", stream);
}
inline std::string CheckpointKey(std::uint16_t stream) {
  return fmt::format("checkpoint/{}", stream);
}
// One for each user whose records did not read back; kept until they are repaired.
inline std::string QuarantinePrefix(std::uint16_t stream) {
  return fmt::format("quarantine/{}/", stream);
}
inline std::string QuarantineKey(std::uint16_t stream, PartitionId partition, UserId user) {
  return fmt::format("quarantine/{}/{}/{}", stream, partition, user);
}

// What this stream remembers of the stores of other cells.
inline std::string PeersKey(std::uint16_t stream) { return fmt::format("peers/{}", stream); }
// 1: this stream was put back from a copy, and may still lack what friends' cells have.
inline std::string PutBackKey(std::uint16_t stream) { return fmt::format("put_back/{}", stream); }

// The index of users with something unacknowledged, see pending_index.h.
inline std::string IndexSinceKey(std::uint16_t stream) {
  return fmt::format("index_since/{}", stream);
}
inline std::string IndexKeptKey(std::uint16_t stream) {
  return fmt::format("index_kept/{}", stream);
}
inline std::string IndexedKey(PartitionId partition) {
  return fmt::format("indexed/{}", partition);
}
inline std::string PendingPrefix(PartitionId partition) {
  return fmt::format("pending/{}/", partition);
}
// What follows every key with that prefix.
inline std::string PendingEnd(PartitionId partition) {
  return fmt::format("pending/{}0", partition);
}
inline std::string PendingKey(PartitionId partition, UserId user) {
  return fmt::format("pending/{}/{}", partition, user);
}

// A text in the meta space: its bytes, and a checksum over key and text.
inline std::string MetaText(std::string_view key, std::string_view text) {
  std::string value(text);
  Writer(value).U32(Crc32c(text, Crc32c(key)));
  return value;
}
inline std::optional<std::string> TextOf(std::string_view key, std::string_view value) {
  if (value.size() < 4) return std::nullopt;
  std::string text(value.substr(0, value.size() - 4));
  if (MetaText(key, text) != value) return std::nullopt;
  return text;
}

// A number in the meta space: 8 bytes, and a checksum over key and number.
inline std::string MetaValue(std::string_view key, std::uint64_t number) {
  std::string value;
  Writer w(value);
  w.U64(number);
  w.U32(Crc32c(value, Crc32c(key)));
  return value;
}
inline std::optional<std::uint64_t> NumberOf(std::string_view key, std::string_view value) {
  if (value.size() != 12) return std::nullopt;
  const std::uint64_t number = Reader(value).U64();
  if (MetaValue(key, number) != value) return std::nullopt;
  return number;
}

}  // namespace baiwan::store
