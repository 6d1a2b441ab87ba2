// RocksDB's files after a kill and after damage: what was acknowledged is there, or opening says
// that it is not.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/testing/temp_folder.h"
#include "store/engine/rocksdb_kv.h"
#include "store/engine/wal_tail.h"
#include "store/testing/crash_writer.h"
#include "store/testing/store_fixture.h"

namespace baiwan::store {
namespace {

namespace fs = std::filesystem;

TEST(RocksDbKilled, EverythingAcknowledgedIsThereInOrderWithoutAHole) {
  const TempFolder folder;
  const std::string path = folder.path() + "/store";
  Rng rng(1);
  Seq before = 0;
  for (int round = 0; round < 6; ++round) {
    const std::uint64_t said = testing::KillWriterAfter(path, 1 + rng.Below(150));
    ASSERT_GT(said, before);
    testing::TestLoop loop;
    const auto kv = OpenRocksDb(path, {}, &loop, NoLog());
    ASSERT_TRUE(kv.ok()) << Message(kv.error());
    RecoveryReport report;
    const auto store = Store::Open(**kv, 1, {}, &report);
    ASSERT_TRUE(store.ok()) << Message(store.error());
    EXPECT_EQ(report.damaged_blocks + report.torn_blocks + report.quarantined.size(), 0u);
    Seq stored = 0;
    for (UserId id = 1; id <= testing::kCrashUsers; ++id) {
      std::optional<wire::UserRecord> user;
      (*store)->Load(0, id,
                     [&](auto loaded) { user = loaded.ok() ? *loaded : wire::UserRecord(); });
      ASSERT_TRUE(loop.RunUntil([&] { return user.has_value(); }));
      if (id == 1) stored = user->send_id;
      EXPECT_GE(user->send_id, said);
      EXPECT_EQ(user->send_id, stored) << "a commit is there in part";
      Seq next = 1;
      while (next <= stored) {
        std::optional<Seq> after;
        (*store)->ReadBox(id, wire::Box::kOut, user->heads.out, next, 1000, 1 << 20,
                          [&](auto page) {
                            Seq seq = next;
                            for (const wire::Message& m :
                                 page.ok() ? page->messages : std::vector<wire::Message>()) {
                              EXPECT_EQ(m.seq, seq);
                              EXPECT_EQ(m.body, testing::CrashBody(id, seq));
                              ++seq;
                            }
                            after = seq;
                          });
        ASSERT_TRUE(loop.RunUntil([&] { return after.has_value(); }));
        ASSERT_GT(*after, next);
        next = *after;
      }
    }
    before = stored;
  }
}

// --- flipped bits in files ---

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

class RocksDbDamage : public ::testing::Test {
 protected:
  static constexpr int kCommits = 300;

  static std::string Value(int i) {
    return fmt::format("{}:{}", i, std::string(150 + i % 40, 'v'));
  }
  std::string path() const { return folder_.path() + "/store"; }

  // Closed in good order, everything still in the write-ahead log.
  void MakeLog() {
    auto kv = OpenRocksDb(path(), {}, nullptr, NoLog());
    ASSERT_TRUE(kv.ok());
    for (int i = 0; i < kCommits; ++i) {
      WriteSet writes;
      writes.puts.push_back({Space::kLog, fmt::format("{:08}", i), Value(i)});
      ASSERT_EQ((*kv)->CommitNow(writes), KvError::kNone);
    }
  }
  // Opening an unclosed log again writes it to tables.
  void MakeTables() {
    MakeLog();
    ASSERT_TRUE(OpenRocksDb(path(), {}, nullptr, NoLog()).ok());
  }
  std::vector<fs::path> Files(const std::string& extension) const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(path())) {
      if (entry.path().extension() == extension && fs::file_size(entry.path()) > 1000) {
        files.push_back(entry.path());
      }
    }
    return files;
  }

  // How many commits are there with one bit of the file flipped; -1 if that is noticed. What is
  // there must be the first ones, unaltered.
  int FoundWithFlip(const fs::path& file, std::size_t bit) {
    const fs::path copy = folder_.path() + "/copy";
    fs::remove_all(copy);
    fs::copy(path(), copy);
    std::string content = ReadFile(file);
    content[bit / 8] = static_cast<char>(content[bit / 8] ^ (1 << bit % 8));
    std::ofstream(copy / file.filename(), std::ios::binary) << content;
    auto kv = OpenRocksDb(copy.string(), {}, nullptr, NoLog());
    if (!kv) {
      EXPECT_EQ(kv.error(), KvError::kCorrupt) << bit;
      return -1;
    }
    int found = 0;
    const KvError scanned = (*kv)->ScanNow(Space::kLog, {}, {}, [&](auto key, auto value) {
      EXPECT_EQ(key, fmt::format("{:08}", found)) << "a hole, bit " << bit;
      EXPECT_EQ(value, Value(found)) << bit;
      ++found;
      return !HasFailure();
    });
    return scanned == KvError::kNone ? found : -1;
  }

  void ExpectDetectedOrHarmless(const fs::path& file, std::size_t samples) {
    Rng rng(17);
    const std::size_t bits = fs::file_size(file) * 8;
    std::size_t noticed = 0;
    for (std::size_t i = 0; i < samples && !HasFailure(); ++i) {
      const std::size_t bit = rng.Below(bits);
      const int found = FoundWithFlip(file, bit);
      noticed += found < 0;
      EXPECT_TRUE(found < 0 || found == kCommits) << found << " left, bit " << bit;
    }
    EXPECT_GT(noticed, samples / 2);
  }

  TempFolder folder_;
};

TEST_F(RocksDbDamage, AFlippedBitInTheWriteAheadLogIsDetected) {
  MakeLog();
  const auto logs = Files(".log");
  ASSERT_EQ(logs.size(), 1u);
  ExpectDetectedOrHarmless(logs[0], 40);
}

TEST_F(RocksDbDamage, AFlippedBitInALengthIsNotTakenForATornTail) {
  MakeLog();
  const fs::path log = Files(".log").at(0);
  const std::string content = ReadFile(log);
  // The headers of records in the last block, where RocksDB forgives a record that is too long.
  std::size_t at = content.size() / (32 << 10) * (32 << 10);
  ASSERT_EQ(FoundWithFlip(log, (at + 4) * 8 + 14), -1);
  while (at + 7 < content.size()) {
    const auto length = static_cast<std::uint8_t>(content[at + 4]) +
                        256u * static_cast<std::uint8_t>(content[at + 5]);
    for (const std::size_t bit : {12, 13, 14, 15}) {
      std::string tail = content.substr(content.size() / (32 << 10) * (32 << 10));
      const std::size_t byte = at - (content.size() - tail.size()) + 4 + bit / 8;
      tail[byte] = static_cast<char>(tail[byte] ^ (1 << bit % 8));
      const bool runs_past_the_end = at + 7 + (length ^ (1u << bit)) > content.size();
      EXPECT_EQ(internal::TailIsDamaged(tail), runs_past_the_end) << at << " " << bit;
    }
    at += 7 + length;
  }
}

TEST_F(RocksDbDamage, ALogCutAnywhereIsATornTail) {
  MakeLog();
  const fs::path log = Files(".log").at(0);
  const std::string content = ReadFile(log);
  for (std::size_t cut = 1; cut < 400; ++cut) {
    const std::string rest = content.substr(0, content.size() - cut);
    const std::size_t block = (rest.size() - 1) / (32 << 10) * (32 << 10);
    EXPECT_FALSE(internal::TailIsDamaged(std::string_view(rest).substr(block))) << cut;
  }
  fs::resize_file(log, content.size() - 250);
  const auto kv = OpenRocksDb(path(), {}, nullptr, NoLog());
  ASSERT_TRUE(kv.ok());
  std::string value;
  EXPECT_EQ((*kv)->GetNow(Space::kLog, "00000297", &value), KvError::kNone);
  EXPECT_EQ((*kv)->GetNow(Space::kLog, "00000299", &value), KvError::kNotFound);
}

TEST_F(RocksDbDamage, AFlippedBitInATableIsDetected) {
  MakeTables();
  const auto tables = Files(".sst");
  ASSERT_EQ(tables.size(), 1u);
  ExpectDetectedOrHarmless(tables[0], 40);
}

TEST_F(RocksDbDamage, AMissingFileIsDetected) {
  MakeTables();
  fs::remove(Files(".sst").at(0));
  EXPECT_EQ(OpenRocksDb(path(), {}, nullptr, NoLog()).error(), KvError::kCorrupt);
}

TEST(RocksDbOpening, AFolderThatCannotBeMadeIsNamed) {
  // Nobody makes folders there, not even root.
  EXPECT_FALSE(OpenRocksDb("/proc/baiwan/store", {}, nullptr, NoLog()).ok());
  const TempFolder folder;
  std::ofstream(folder.path() + "/file") << "x";
  EXPECT_EQ(OpenRocksDb(folder.path() + "/file/store", {}, nullptr, NoLog()).error(), KvError::kIo);
  EXPECT_TRUE(OpenRocksDb(folder.path() + "/a/b/c/", {}, nullptr, NoLog()).ok());
}

}  // namespace
}  // namespace baiwan::store
