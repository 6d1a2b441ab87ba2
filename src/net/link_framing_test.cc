#include "net/link_framing.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "base/checksum.h"
#include "base/rng.h"

namespace baiwan::net {
namespace {

using Event = LinkDecoder::Event;

constexpr std::uint32_t kMaxPayload = 1000;

std::string Frame(std::uint8_t type, std::uint64_t tag, std::string_view payload) {
  std::string out;
  AppendLinkFrame(out, type, tag, payload);
  return out;
}

std::string Decode(std::string_view text, const std::vector<std::size_t>& cuts) {
  LinkDecoder decoder(kMaxPayload);
  std::string result;
  std::string unread;
  std::size_t from = 0;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    const std::size_t to = i < cuts.size() ? cuts[i] : text.size();
    unread.append(text.substr(from, to - from));
    from = to;
    const std::unique_ptr<char[]> piece(new char[unread.size()]);
    std::memcpy(piece.get(), unread.data(), unread.size());
    std::string_view rest(piece.get(), unread.size());
    for (;;) {
      const Event event = decoder.Next(&rest);
      if (event == Event::kNeedMore) break;
      if (event == Event::kTooLong) return result + "too long\n";
      if (event == Event::kChecksum) return result + "checksum\n";
      result += std::to_string(decoder.type()) + " " + std::to_string(decoder.tag()) + " " +
                std::string(decoder.payload()) + "\n";
    }
    unread.erase(0, unread.size() - rest.size());
  }
  return result;
}

TEST(LinkFraming, LaysAFrameOutAsDocumented) {
  const std::string frame = Frame(7, 0x0102030405060708, "abc");
  ASSERT_EQ(frame.size(), 20u);
  EXPECT_EQ(frame.substr(0, 16), std::string("\x03\0\0\0\x07\x08\x07\x06\x05\x04\x03\x02\x01"
                                             "abc",
                                             16));
  std::uint32_t crc = 0;
  std::memcpy(&crc, frame.data() + 16, 4);
  EXPECT_EQ(crc, Crc32c(std::string_view(frame).substr(4, 12)));
}

TEST(LinkFraming, ReadsTheSameHoweverTheBytesAreCut) {
  const std::string text = Frame(0, 0, "") + Frame(127, ~std::uint64_t{0}, std::string(40, 'x')) +
                           Frame(200, 5, "z") + Frame(1, 1, "last");
  const std::string whole = Decode(text, {});
  EXPECT_EQ(whole,
            "0 0 \n127 18446744073709551615 " + std::string(40, 'x') + "\n200 5 z\n1 1 last\n");
  std::vector<std::size_t> all;
  for (std::size_t a = 1; a < text.size(); ++a) {
    all.push_back(a);
    for (std::size_t b = a; b < text.size(); ++b) EXPECT_EQ(Decode(text, {a, b}), whole);
  }
  EXPECT_EQ(Decode(text, all), whole) << "byte by byte";
}

TEST(LinkFraming, NoFlippedBitPasses) {
  const std::string good = Frame(3, 99, "payload") + Frame(4, 100, "more") + std::string(300, '\0');
  const std::size_t frame = kLinkFrameHead + 7 + kLinkFrameTail;
  for (std::size_t bit = 0; bit < frame * 8; ++bit) {
    std::string text = good;
    text[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    const std::string result = Decode(text, {});
    // A shorter or longer length makes the checksum lie elsewhere; a huge one is refused, or the
    // rest of it waited for.
    EXPECT_TRUE(result == "checksum\n" || result == "too long\n" || result.empty())
        << "bit " << bit << ": " << result;
    if (bit >= 32) {
      EXPECT_EQ(result, "checksum\n");
    }
  }
}

TEST(LinkFraming, ALengthBeyondTheLimitIsRefusedByItsFirstBytes) {
  EXPECT_EQ(Decode(Frame(1, 1, std::string(kMaxPayload, 'x')), {}).size(), kMaxPayload + 5);
  EXPECT_EQ(Decode(std::string("\xe9\x03\0\0", 4), {}), "too long\n");
  EXPECT_EQ(Decode("\xff\xff\xff\xff", {}), "too long\n");
}

TEST(LinkFraming, SurvivesRandomBytes) {
  Rng rng(3);
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    for (std::uint64_t n = rng.Below(5); n > 0; --n) {
      const auto type = static_cast<std::uint8_t>(rng.Next());
      const std::uint64_t tag = rng.Next();
      text += Frame(type, tag, std::string(rng.Below(100), 'a'));
    }
    for (std::uint64_t n = rng.Below(3); n > 0 && !text.empty(); --n) {
      text[rng.Below(text.size())] = static_cast<char>(rng.Next());
    }
    std::vector<std::size_t> cuts;
    for (std::size_t at = rng.Below(60); at < text.size(); at += 1 + rng.Below(60)) {
      cuts.push_back(at);
    }
    EXPECT_EQ(Decode(text, cuts), Decode(text, {}));
  }
}

}  // namespace
}  // namespace baiwan::net
