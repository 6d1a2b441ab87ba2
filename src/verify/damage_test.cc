// What cannot be read is said so, by name, and never taken for something else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "base/bytes.h"
#include "base/checksum.h"
#include "verify/decode.h"
#include "verify/testing/split.h"
#include "verify/verify.h"

namespace baiwan::verify {
namespace {

using ::testing::Contains;
using testing::CountsOf;
using ::testing::HasSubstr;
using testing::StressStores;
using testing::VerifyBothWays;

class DamageTest : public ::testing::Test {
 protected:
  DamageTest() { all.Write({}); }
  void ExpectUnread(const std::string& what, int exit_code = 2) {
    const VerifyReport report = VerifyBothWays(all, all.options());
    EXPECT_EQ(report.ExitCode(), exit_code) << report.ToText();
    EXPECT_THAT(report.errors, Contains(HasSubstr(what))) << report.ToText();
  }
  // Changes one entry of a store; the engine's own checksums are right afterwards.
  void Change(store::Space space, std::size_t which,
              const std::function<void(const std::string& key, std::string& value)>& change) {
    all.EditStore(1, [&](store::Kv& kv) {
      std::size_t at = 0;
      store::WriteSet writes;
      ASSERT_EQ(kv.ScanNow(space, "", "",
                           [&](std::string_view key, std::string_view value) {
                             if (at++ < which) return true;
                             std::string changed(value);
                             change(std::string(key), changed);
                             writes.puts.push_back({space, std::string(key), changed});
                             return false;
                           }),
                store::KvError::kNone);
      ASSERT_EQ(writes.puts.size(), 1u);
      ASSERT_EQ(kv.CommitNow(writes), store::KvError::kNone);
    });
  }
  // Writes, from docs/formats.md, whose a store is; without a cell its stream 0 is nobody's.
  void Name(std::size_t store, std::uint64_t partitions, std::optional<CellId> cell,
            const std::string& without = "") {
    all.EditStore(store, [&](store::Kv& kv) {
      store::WriteSet writes;
      const auto put = [&](const std::string& key, std::string value) {
        if (key == without) return;
        Append32(Crc32c(value, Crc32c(key)), &value);
        writes.puts.push_back({store::Space::kMeta, key, std::move(value)});
      };
      const auto number = [&](const std::string& key, std::uint64_t n) {
        std::string value;
        Writer(value).U64(n);
        put(key, std::move(value));
      };
      number("format", 2);
      put("deployment", "baiwan");
      number("cells", all.spec().cells);
      number("partitions", partitions);
      number("life", 7 + store);
      if (cell) number("cell/0", *cell);
      ASSERT_EQ(kv.CommitNow(writes), store::KvError::kNone);
    });
  }
  static void Append32(std::uint32_t v, std::string* out) { Writer(*out).U32(v); }

  StressStores all;
};

TEST_F(DamageTest, AFlippedBitInAFileIsNeverTakenForLoss) {
  stress::WorkloadSpec spec = StressStores::SmallSpec();
  spec.body_bytes = 600;  // enough for tables beside the write-ahead log
  for (const std::string kind : {".sst", ".log"}) {
    StressStores large(spec);
    large.Write({});
    ASSERT_EQ(large.Verify().ExitCode(), 0);
    bool flipped = false;
    for (const auto& entry : std::filesystem::directory_iterator(large.paths()[1])) {
      if (entry.path().extension() != kind || entry.file_size() < 40'000 || flipped) continue;
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(10'000);
      const auto was = static_cast<char>(file.get());
      file.seekp(10'000);
      file.put(static_cast<char>(was ^ 4));
      flipped = true;
    }
    ASSERT_TRUE(flipped) << kind;
    const VerifyReport report = VerifyBothWays(large, large.options());
    EXPECT_EQ(report.ExitCode(), 2) << kind << "\n" << report.ToText();
    EXPECT_THAT(report.errors, Contains(HasSubstr("store1")));
  }
}

TEST_F(DamageTest, AFlippedBitInASection) {
  Change(store::Space::kLog, 20, [](const std::string&, std::string& v) { v[60] ^= 2; });
  ExpectUnread("block 21 of stream 0 is damaged", 1);  // what stood there is lost as well
}

TEST_F(DamageTest, AFlippedBitInABlocksHeader) {
  Change(store::Space::kLog, 20, [](const std::string&, std::string& v) { v[3] ^= 2; });
  ExpectUnread("block 21 of stream 0 is damaged (its header's checksum)");
}

TEST_F(DamageTest, ABlockThatIsGone) {
  all.EditStore(1, [](store::Kv& kv) {
    store::WriteSet writes;
    writes.deletes.push_back({store::Space::kLog, LogKeyOf({0, 20}), LogKeyOf({0, 21})});
    ASSERT_EQ(kv.CommitNow(writes), store::KvError::kNone);
  });
  const VerifyReport report = VerifyBothWays(all, all.options());
  EXPECT_GT(CountsOf(report).lost, 0u) << report.ToText();
  EXPECT_THAT(report.notes, Contains(HasSubstr("1 positions of stream 0 have no block")));
}

TEST_F(DamageTest, AFlippedBitInASnapshot) {
  Change(store::Space::kSnap, 2, [](const std::string&, std::string& v) { v[9] ^= 2; });
  ExpectUnread("cannot be read: its checksum does not match");
}

TEST_F(DamageTest, AnUnknownVersionOfASnapshot) {
  Change(store::Space::kSnap, 2, [](const std::string&, std::string& v) {
    v[0] = 2;
    v.resize(v.size() - 4);
    Append32(Crc32c(v), &v);
  });
  ExpectUnread("it has a format version that is not known here");
}

TEST_F(DamageTest, AnUnknownVersionOfABlock) {
  Change(store::Space::kLog, 20, [](const std::string& key, std::string& v) {
    std::string sealed{'\2', v[1]};
    std::string length;
    Append32(static_cast<std::uint32_t>(v.size()), &length);
    Append32(Crc32c(length, Crc32c(sealed, Crc32c(key))), &sealed);
    v.replace(0, 6, sealed);
  });
  ExpectUnread("block 21 of stream 0 has format version 2, this program knows 1");
}

TEST_F(DamageTest, AnUnknownFormatOfAStore) {
  all.EditStore(1, [](store::Kv& kv) {
    std::string value;
    Writer(value).U64(3);
    Append32(Crc32c(value, Crc32c("format")), &value);
    store::WriteSet writes;
    writes.puts.push_back({store::Space::kMeta, "format", value});
    ASSERT_EQ(kv.CommitNow(writes), store::KvError::kNone);
  });
  ExpectUnread("has format 3, this program knows 1 and 2");
}

TEST_F(DamageTest, AStoreOfAnotherDeploymentIsNotTakenForThisOne) {
  for (CellId cell = 0; cell < 3; ++cell) Name(cell, all.spec().partitions, cell);
  ASSERT_EQ(all.Verify().ExitCode(), 0) << all.Verify().ToText();
  Name(1, all.spec().partitions + 1, 1);
  ExpectUnread("is of a deployment with");
}

TEST_F(DamageTest, OneCellInTwoStores) {
  Name(0, all.spec().partitions, 0);
  Name(1, all.spec().partitions, 0);
  EXPECT_THAT(all.Verify().errors, Contains(HasSubstr("cell 0 stands in two stores")));
}

TEST_F(DamageTest, AStreamThatTheStoreDoesNotOwnTo) {
  Name(1, all.spec().partitions, std::nullopt);
  ExpectUnread("it does not say of which cell its stream 0 is");
}

TEST_F(DamageTest, ADamagedOrMissingNameOfAStore) {
  Name(1, all.spec().partitions, 1);
  all.EditStore(1, [](store::Kv& kv) {
    store::WriteSet writes;
    writes.puts.push_back({store::Space::kMeta, "deployment", "baiwan????"});
    ASSERT_EQ(kv.CommitNow(writes), store::KvError::kNone);
  });
  ExpectUnread("its record 'deployment' is damaged");
  all.EditStore(1, [](store::Kv& kv) {
    store::WriteSet writes;
    writes.deletes.push_back({store::Space::kMeta, "life", "liff"});
    ASSERT_EQ(kv.CommitNow(writes), store::KvError::kNone);
  });
  Name(1, all.spec().partitions, 1, "life");
  ExpectUnread("does not say whose it is: its record 'life' is missing");
}

TEST_F(DamageTest, AUserInQuarantine) {
  all.EditStore(1, [](store::Kv& kv) {
    store::WriteSet writes;
    writes.puts.push_back({store::Space::kMeta, "quarantine/0/3/4", "whatever"});
    ASSERT_EQ(kv.CommitNow(writes), store::KvError::kNone);
  });
  ExpectUnread("quarantine/0/3/4");
}

TEST_F(DamageTest, AStoreThatIsNotThere) {
  std::filesystem::remove_all(all.paths()[1]);
  ExpectUnread("there is no store in");
}

TEST_F(DamageTest, NothingInAStoreIsChangedByVerifying) {
  const auto files = [this] {
    std::map<std::string, std::filesystem::file_time_type> found;
    for (const auto& e : std::filesystem::directory_iterator(all.paths()[1])) {
      found[e.path().string()] = e.last_write_time();
    }
    return found;
  };
  const auto before = files();
  all.Verify();
  EXPECT_EQ(files(), before);
}

}  // namespace
}  // namespace baiwan::verify
