#include <gtest/gtest.h>

#include "base/budget.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "base/rng.h"
#include "base/transport.h"

namespace baiwan {
namespace {

TEST(Bytes, EveryFieldComesBackAsItWasWritten) {
  std::string out;
  Writer w(out);
  w.U8(7);
  w.U16(65535);
  w.U32Be(0x01020304);
  w.U64Be(0x0102030405060708);
  for (const std::uint64_t v : {0ULL, 127ULL, 128ULL, 1ULL << 35, ~0ULL}) w.Varint(v);
  w.Sized("body");
  EXPECT_EQ(out[3], 1);  // big endian: the high byte first

  Reader r(out);
  EXPECT_EQ(r.U8(), 7);
  EXPECT_EQ(r.U16(), 65535);
  EXPECT_EQ(r.U32Be(), 0x01020304u);
  EXPECT_EQ(r.U64Be(), 0x0102030405060708u);
  for (const std::uint64_t v : {0ULL, 127ULL, 128ULL, 1ULL << 35, ~0ULL}) EXPECT_EQ(r.Varint(), v);
  EXPECT_EQ(r.Sized(), "body");
  EXPECT_TRUE(r.ok());
  EXPECT_TRUE(r.done());
}

TEST(Bytes, AReaderNeverPassesTheEndWhateverItIsGiven) {
  std::string out;
  Writer w(out);
  w.U32(5);
  w.Sized("hello");
  for (std::size_t cut = 0; cut < out.size(); ++cut) {
    Reader r(std::string_view(out).substr(0, cut));
    r.U32();
    r.Sized();
    EXPECT_FALSE(r.ok()) << cut;
    EXPECT_EQ(r.U64(), 0u);
  }
  Reader eleven_bytes("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
  eleven_bytes.Varint();
  EXPECT_FALSE(eleven_bytes.ok());
}

TEST(Checksum, IsCrc32cOfTheStandardsExamples) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720 B.4
  EXPECT_EQ(internal::Crc32cPortable("123456789", 0), 0xE3069283u);
  Rng rng(1);
  std::string data;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(Crc32c(data), internal::Crc32cPortable(data, 0));
    EXPECT_EQ(Crc32c(data.substr(i / 2), Crc32c(data.substr(0, i / 2))), Crc32c(data));
    data.push_back(static_cast<char>(rng.Next()));
  }
}

TEST(Checksum, AMessageOfAnotherSenderReceiverNumberOrBodyHasAnother) {
  const auto good = MessageChecksum(1, 2, 3, "hello");
  EXPECT_NE(good, MessageChecksum(2, 1, 3, "hello"));
  EXPECT_NE(good, MessageChecksum(1, 2, 4, "hello"));
  EXPECT_NE(good, MessageChecksum(1, 2, 3, "hellp"));
}

TEST(Rng, TheSameSeedGivesTheSameNumbersEverywhere) {
  Rng rng(42);
  EXPECT_EQ(rng.Next(), 13679457532755275413ULL);  // SplitMix64's published sequence for seed 42
  for (int i = 0; i < 1000; ++i) EXPECT_LT(rng.Below(7), 7u);
}

TEST(Budget, RefusesAtTheHardLimitAndChargesNothingThen) {
  Budget budget(1000);
  EXPECT_TRUE(budget.Charge(Account::kUsers, 900));
  EXPECT_TRUE(budget.over_soft());
  EXPECT_FALSE(budget.Charge(Account::kLinks, 101));
  EXPECT_EQ(budget.used(), 900u);
  EXPECT_EQ(budget.refused(), 1u);
  budget.Release(Account::kUsers, 900);
  EXPECT_TRUE(budget.Charge(Account::kLinks, 1000));
}

TEST(Endpoint, IsReadAndWrittenAndRefusedWithAReason) {
  EXPECT_EQ(ParseEndpoint("127.0.0.1:9500")->ToString(), "127.0.0.1:9500");
  EXPECT_EQ(ParseEndpoint("[::1]:80")->host, "::1");
  EXPECT_EQ(ParseEndpoint("[::1]:80")->ToString(), "[::1]:80");
  for (const char* bad :
       {"", "host", "host:", ":1", "host:65536", "host:-1", "host:1x", "::1:80", "host:0"}) {
    EXPECT_FALSE(ParseEndpoint(bad).ok()) << bad;
  }
  EXPECT_TRUE(IsLoopback({"127.0.0.9", 1}));
  EXPECT_FALSE(IsLoopback({"10.0.0.1", 1}));
}

}  // namespace
}  // namespace baiwan
