#include "net/ws_codec.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "base/rng.h"
#include "net/utf8.h"
#include "net/ws_handshake.h"

namespace baiwan::net {
namespace {

using Event = WsDecoder::Event;

constexpr std::size_t kMaxMessage = 70'000;

std::string Frame(std::uint8_t first, std::string_view payload, bool masked = true) {
  std::string out;
  if (masked) {
    AppendMaskedWsFrame(out, WsOpcode::kText, payload, 0x12345678);
  } else {
    AppendWsFrame(out, WsOpcode::kText, payload);
  }
  out[0] = static_cast<char>(first);
  return out;
}
constexpr std::uint8_t kFin = 0x80;
constexpr std::uint8_t kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10;

// What a stream of frames says, one line an event; long payloads by length and hash.
std::string Decode(std::string_view text, const std::vector<std::size_t>& cuts,
                   bool from_client = true) {
  WsDecoder decoder(from_client, kMaxMessage);
  std::string result;
  std::string unread;
  std::size_t from = 0;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    const std::size_t to = i < cuts.size() ? cuts[i] : text.size();
    unread.append(text.substr(from, to - from));
    from = to;
    // In memory of the exact size, and a copy: what is not used comes again as it was sent.
    const std::unique_ptr<char[]> piece(new char[unread.size()]);
    std::memcpy(piece.get(), unread.data(), unread.size());
    char* at = piece.get();
    char* const end = at + unread.size();
    for (;;) {
      const Event event = decoder.Next(&at, end);
      if (event == Event::kNeedMore) break;
      const std::string data =
          decoder.data().size() < 200
              ? std::string(decoder.data())
              : std::to_string(decoder.data().size()) + "#" +
                    std::to_string(std::hash<std::string_view>()(decoder.data()));
      switch (event) {
        case Event::kMessage:
          result.append(decoder.is_text() ? "text " : "binary ").append(data).append("\n");
          break;
        case Event::kPing:
          result += "ping " + data + "\n";
          break;
        case Event::kPong:
          result += "pong " + data + "\n";
          break;
        case Event::kClose:
          return result + "close " + std::to_string(decoder.code()) + " " + data + "\n";
        default:
          return result + "failed " + std::to_string(decoder.code()) + "\n";
      }
    }
    unread.erase(0, static_cast<std::size_t>(at - piece.get()));
  }
  return result;
}
std::string Decode(std::string_view text, bool from_client = true) {
  return Decode(text, {}, from_client);
}

TEST(WsDecoder, TakesFramesOfEveryLengthForm) {
  for (const std::size_t size : {0u, 1u, 7u, 8u, 9u, 125u, 126u, 127u, 65'535u, 65'536u, 70'000u}) {
    std::string payload(size, '\0');
    for (std::size_t i = 0; i < size; ++i) payload[i] = static_cast<char>(Mix(i));
    for (const bool masked : {true, false}) {
      std::string out;
      if (masked) {
        AppendMaskedWsFrame(out, WsOpcode::kBinary, payload, 0xDEADBEEF);
      } else {
        AppendWsFrame(out, WsOpcode::kBinary, payload);
      }
      WsDecoder decoder(masked, kMaxMessage);
      char* at = out.data();
      ASSERT_EQ(decoder.Next(&at, out.data() + out.size()), Event::kMessage) << size;
      EXPECT_EQ(decoder.data(), payload);
      EXPECT_EQ(at, out.data() + out.size());
    }
  }
}

TEST(WsDecoder, KnowsTheRfcsExamples) {  // RFC 6455, section 5.7
  EXPECT_EQ(Decode("\x81\x05Hello", false), "text Hello\n");
  EXPECT_EQ(Decode("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "text Hello\n");
  EXPECT_EQ(Decode(std::string_view("\x01\x03Hel\x80\x02lo", 9), false), "text Hello\n");
  EXPECT_EQ(Decode("\x89\x05Hello", false), "ping Hello\n");
  EXPECT_EQ(Decode("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "pong Hello\n");
}

TEST(WsDecoder, ReadsTheSameHoweverTheBytesAreCut) {
  const std::string streams[] = {
      Frame(kFin | kText, "one") + Frame(kFin | kBinary, "two") + Frame(kFin | kText, ""),
      Frame(kText, "gr\xc3") + Frame(kFin | kPing, "p") + Frame(0, "\xbc") +
          Frame(kFin | kPong, "") + Frame(kFin, "n") + Frame(kFin | kText, "next"),
      Frame(kFin | kBinary, std::string(130, 'x')) + Frame(kFin | kClose,
                                                           "\x03\xe8"
                                                           "bye"),
      Frame(kText, "a") + Frame(kFin | kText, "b"),
      Frame(kFin | kText, "bad \xff"),
  };
  const std::string expected[] = {
      "text one\nbinary two\ntext \n",
      "ping p\npong \ntext gr\xc3\xbcn\ntext next\n",
      "binary " + std::string(130, 'x') + "\nclose 1000 bye\n",
      "failed 1002\n",
      "failed 1007\n",
  };
  for (std::size_t s = 0; s < std::size(streams); ++s) {
    const std::string& text = streams[s];
    EXPECT_EQ(Decode(text), expected[s]);
    std::vector<std::size_t> all;
    for (std::size_t a = 1; a < text.size(); ++a) {
      all.push_back(a);
      for (std::size_t b = a; b < text.size(); ++b) EXPECT_EQ(Decode(text, {a, b}), expected[s]);
    }
    EXPECT_EQ(Decode(text, all), expected[s]) << "byte by byte";
  }
}

TEST(WsDecoder, RefusesWhatTheRfcForbids) {
  const std::pair<std::string, int> cases[] = {
      {Frame(kFin | kText, "x", false), 1002},  // not masked
      {Frame(kFin | 0x40 | kText, "x"), 1002},  // reserved bits
      {Frame(kFin | 0x20 | kText, "x"), 1002},
      {Frame(kFin | 0x10 | kText, "x"), 1002},
      {Frame(kFin | 3, "x"), 1002},  // reserved opcodes
      {Frame(kFin | 7, "x"), 1002},
      {Frame(kFin | 11, "x"), 1002},
      {Frame(kFin | 15, "x"), 1002},
      {Frame(kPing, "x"), 1002},  // fragmented control frames
      {Frame(kClose, ""), 1002},
      {Frame(kFin | kPing, std::string(126, 'x')), 1002},      // long control frames
      {Frame(kFin | 0, "x"), 1002},                            // continuing nothing
      {Frame(kText, "x") + Frame(kFin | kBinary, "y"), 1002},  // interleaved messages
      {std::string("\x82\xfe\x00\x7d", 4), 1002},              // lengths not in shortest form
      {std::string("\x82\xff\0\0\0\0\0\0\xff\xff", 10), 1002},
      {std::string("\x82\xff\x80\0\0\0\0\0\0\0", 10), 1002},     // the highest bit of the length
      {Frame(kFin | kClose, "x"), 1002},                         // half a close code
      {Frame(kFin | kClose, std::string("\x03\xed", 2)), 1002},  // 1005
      {Frame(kFin | kClose, std::string("\x03\xee", 2)), 1002},  // 1006
      {Frame(kFin | kClose, std::string("\x03\xf7", 2)), 1002},  // 1015
      {Frame(kFin | kClose, std::string("\x03\xe7", 2)), 1002},  // 999
      {Frame(kFin | kClose, std::string("\x13\x88", 2)), 1002},  // 5000
      {Frame(kFin | kClose, "\x03\xe8\xff"), 1007},              // a reason that is not UTF-8
      {Frame(kFin | kText, "\xc0\x80"), 1007},
      {Frame(kText, "\xe2\x82") + Frame(kFin, ""), 1007},         // cut off inside a character
      {std::string("\x82\xff\0\0\0\0\0\x01\x11\x71", 10), 1009},  // one byte too much, by its head
      {Frame(kBinary, std::string(40'000, 'a')) + Frame(kFin, std::string(30'001, 'b')), 1009},
      {std::string("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 10), 1009},
  };
  for (const auto& [text, code] : cases) {
    EXPECT_EQ(Decode(text), "failed " + std::to_string(code) + "\n")
        << ::testing::PrintToString(text);
  }
  EXPECT_EQ(Decode(Frame(kFin | kText, "x"), false), "failed 1002\n") << "a server must not mask";
  EXPECT_EQ(Decode(Frame(kBinary, std::string(40'000, 'a')) + Frame(kFin, std::string(30'000, 'b')))
                .substr(0, 13),
            "binary 70000#");
}

TEST(WsDecoder, AViolationIsSeenBeforeThePayloadIsThere) {
  EXPECT_EQ(Decode("\xc1\x80"), "failed 1002\n");
  EXPECT_EQ(Decode("\x81\x05"), "failed 1002\n");
}

TEST(WsDecoder, UnderstandsCloseFrames) {
  EXPECT_EQ(Decode(Frame(kFin | kClose, "")), "close 1005 \n");
  for (const int code : {1000, 1001, 1002, 1003, 1007, 1014, 3000, 4999}) {
    const std::string payload = WsClosePayload(static_cast<std::uint16_t>(code), "r");
    EXPECT_EQ(Decode(Frame(kFin | kClose, payload)), "close " + std::to_string(code) + " r\n");
  }
}

TEST(WsDecoder, AMessageOfOneFrameIsNotCopied) {
  std::string text = Frame(kFin | kBinary, "payload");
  WsDecoder decoder(true, kMaxMessage);
  char* at = text.data();
  ASSERT_EQ(decoder.Next(&at, text.data() + text.size()), Event::kMessage);
  EXPECT_EQ(decoder.data().data(), text.data() + text.size() - 7);
}

TEST(WsDecoder, GivesLargeBuffersBack) {
  WsDecoder decoder(true, 10 << 20);
  std::string text =
      Frame(kBinary, std::string(1 << 20, 'a')) + Frame(kFin, "b") + Frame(kFin | kText, "c");
  char* at = text.data();
  ASSERT_EQ(decoder.Next(&at, text.data() + text.size()), Event::kMessage);
  EXPECT_GE(decoder.held_bytes(), std::size_t{1} << 20);
  ASSERT_EQ(decoder.Next(&at, text.data() + text.size()), Event::kMessage);
  EXPECT_LT(decoder.held_bytes(), 100u);
}

TEST(WsDecoder, SurvivesRandomBytes) {
  Rng rng(11);
  for (int round = 0; round < 4000; ++round) {
    std::string text;
    for (std::uint64_t n = rng.Below(6); n > 0; --n) {
      const std::uint64_t fin = rng.Chance(0.7) ? kFin : 0;
      const auto first = static_cast<std::uint8_t>(fin | rng.Below(11));
      const std::string payload(rng.Below(200), 'a');
      text += Frame(first, payload, rng.Chance(0.95));
    }
    for (std::uint64_t n = rng.Below(3); n > 0 && !text.empty(); --n) {
      text[rng.Below(text.size())] = static_cast<char>(rng.Next());
    }
    std::vector<std::size_t> cuts;
    for (std::size_t at = rng.Below(50); at < text.size(); at += 1 + rng.Below(50)) {
      cuts.push_back(at);
    }
    EXPECT_EQ(Decode(text, cuts), Decode(text));
  }
}

TEST(WsMask, IsItsOwnInverseAtEveryLengthAndPlace) {
  for (std::size_t size = 0; size < 40; ++size) {
    for (std::size_t offset = 0; offset < 8; ++offset) {
      std::string buffer(offset + size + 1, 'z');
      std::string expected = buffer;
      const std::uint8_t key[4] = {0x11, 0x22, 0x33, 0xF4};
      std::uint32_t word = 0;
      std::memcpy(&word, key, 4);
      for (std::size_t i = 0; i < size; ++i) expected[offset + i] ^= static_cast<char>(key[i % 4]);
      WsMask(buffer.data() + offset, size, word);
      EXPECT_EQ(buffer, expected);
    }
  }
}

TEST(WsClosePayload, CutsALongReasonBetweenCharacters) {
  std::string reason;
  while (reason.size() < 200) reason += "\xe2\x82\xac";
  const std::string payload = WsClosePayload(1000, reason);
  EXPECT_LE(payload.size(), kWsMaxControl);
  EXPECT_GE(payload.size(), kWsMaxControl - 3);
  EXPECT_TRUE(IsUtf8(std::string_view(payload).substr(2)));
  EXPECT_EQ(WsClosePayload(1005, "x"), "") << "this code is never sent";
}

TEST(Utf8, TellsWellFormedFromIllFormed) {
  const char* good[] = {"",
                        "plain ascii, longer than a word",
                        "\xc2\x80",
                        "\xdf\xbf",
                        "\xe0\xa0\x80",
                        "\xed\x9f\xbf",
                        "\xee\x80\x80",
                        "\xef\xbf\xbf",
                        "\xf0\x90\x80\x80",
                        "\xf4\x8f\xbf\xbf",
                        "12345678\xe2\x82\xac",
                        "\xe7\x99\xbe\xe4\xb8\x87"};
  for (const char* text : good) EXPECT_TRUE(IsUtf8(text)) << ::testing::PrintToString(text);
  const char* bad[] = {"\x80",
                       "\xbf",
                       "\xc0\xaf",
                       "\xc1\xbf",
                       "\xc2",
                       "\xc2\x7f",
                       "\xe0\x9f\xbf",
                       "\xe2\x82",
                       "\xed\xa0\x80",
                       "\xed\xbf\xbf",
                       "\xf0\x8f\xbf\xbf",
                       "\xf0\x90\x80",
                       "\xf4\x90\x80\x80",
                       "\xf5\x80\x80\x80",
                       "\xff",
                       "12345678\xff",
                       "1234567\xc3",
                       "\xe2\x28\xa1",
                       "\xf0\x90\x28\xbc"};
  for (const char* text : bad) EXPECT_FALSE(IsUtf8(text)) << ::testing::PrintToString(text);
}

TEST(WsHandshake, AnswersTheRfcsExampleKey) {  // RFC 6455, section 1.3
  EXPECT_EQ(WsAcceptKey("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(WsKey(1, 2).size(), 24u);
}

}  // namespace
}  // namespace baiwan::net
