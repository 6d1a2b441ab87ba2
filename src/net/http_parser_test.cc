#include "net/http_parser.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "base/rng.h"
#include "net/http_answer.h"

namespace baiwan::net {
namespace {

constexpr std::size_t kMaxHead = 1024;
constexpr std::size_t kMaxBody = 4096;

// A copy in memory of the exact size, so that sanitizers see a read beyond it.
struct Exact {
  explicit Exact(std::string_view text) : bytes(new char[text.size()]), size(text.size()) {
    std::copy(text.begin(), text.end(), bytes.get());
  }
  std::string_view view() const { return {bytes.get(), size}; }
  std::unique_ptr<char[]> bytes;
  std::size_t size;
};

// What a sequence of requests parses to, in one line each, for comparison.
std::string Describe(const RequestParser& parser) {
  const HttpRequest& r = parser.request();
  std::string text;
  text.append(r.method).append(" ").append(r.target).append(" ").append(r.path).append(" ?");
  text.append(r.query).append(parser.http10() ? " 1.0" : " 1.1");
  text.append(r.keep_alive ? " keep" : " close").append(r.wants_websocket ? " ws" : "");
  for (const auto& [name, value] : r.headers) {
    text.append(" [").append(name).append("=").append(value).append("]");
  }
  return text.append(" {").append(r.body).append("}\n");
}

// Feeds `text` cut at `pieces` (positions, rising), keeping what is not used, as a stream does.
std::string Parse(std::string_view text, const std::vector<std::size_t>& cuts) {
  RequestParser parser(kMaxHead, kMaxBody);
  std::string result;
  std::string unread;
  std::size_t from = 0;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    const std::size_t to = i < cuts.size() ? cuts[i] : text.size();
    unread.append(text.substr(from, to - from));
    from = to;
    const Exact piece(unread);
    std::size_t used = 0;
    for (;;) {
      const std::size_t now = parser.Put(piece.view().substr(used));
      used += now;
      if (parser.state() == HttpParseState::kFailed) {
        return result + std::to_string(parser.fault().status) + "\n";
      }
      if (parser.state() != HttpParseState::kReady) break;
      result += Describe(parser);
      parser.Next();
      if (used == piece.size) break;
    }
    unread.erase(0, used);
  }
  return result + (parser.begun() ? "begun\n" : "");
}

std::string Parse(std::string_view text) { return Parse(text, {}); }

std::string Get(const std::string& line, const std::string& fields = "") {
  return line + "\r\nHost: h\r\n" + fields + "\r\n";
}
int StatusOf(const std::string& text) { return std::atoi(Parse(text).c_str()); }

TEST(RequestParser, TakesAGetApart) {
  EXPECT_EQ(Parse("GET /api/c/1/2/3/?message=a%20b HTTP/1.1\r\nHost: x:80\r\nA:  b c \r\n\r\n"),
            "GET /api/c/1/2/3/?message=a%20b /api/c/1/2/3/ ?message=a%20b 1.1 keep "
            "[Host=x:80] [A=b c] {}\n");
}

TEST(RequestParser, DeliversAnyBytesOfATarget) {
  EXPECT_EQ(Parse(Get("GET /a%ff%00?x=\xff\xc3(&y HTTP/1.1")),
            "GET /a%ff%00?x=\xff\xc3(&y /a%ff%00 ?x=\xff\xc3(&y 1.1 keep [Host=h] {}\n");
}

TEST(RequestParser, KnowsEveryFormOfTargetAndAnyMethod) {
  EXPECT_EQ(Parse(Get("PURGE http://some.host:8080/p?q=http://z HTTP/1.1")),
            "PURGE http://some.host:8080/p?q=http://z /p ?q=http://z 1.1 keep [Host=h] {}\n");
  EXPECT_EQ(Parse(Get("GET http://host?q HTTP/1.1")),
            "GET http://host?q / ?q 1.1 keep [Host=h] {}\n");
  EXPECT_EQ(Parse(Get("OPTIONS * HTTP/1.1")), "OPTIONS * * ? 1.1 keep [Host=h] {}\n");
  EXPECT_EQ(Parse(Get("GET /r?u=a://b HTTP/1.1")),
            "GET /r?u=a://b /r ?u=a://b 1.1 keep [Host=h] {}\n");
}

TEST(RequestParser, RefusesTargetsThatAreNone) {
  for (const char* line :
       {"GET .evil.example://x/a HTTP/1.1", "GET @evil.example://x/a HTTP/1.1", "GET a HTTP/1.1",
        "GET * HTTP/1.1", "GET http:// HTTP/1.1", "GET http:///a HTTP/1.1",
        "GET https://h/a HTTP/1.1", "GET http://u@h/a HTTP/1.1", "GET http://h:x/a HTTP/1.1",
        "GET http://a..b/ HTTP/1.1", "GET ftp://h/a HTTP/1.1", "CONNECT h:80 HTTP/1.1",
        "GET ?q HTTP/1.1"}) {
    EXPECT_EQ(StatusOf(Get(line)), 400) << line;
  }
}

TEST(RequestParser, SaysWhomARequestIsFor) {
  const auto host = [](const std::string& text) {
    RequestParser parser(kMaxHead, kMaxBody);
    parser.Put(text);
    return parser.state() == HttpParseState::kReady ? std::string(parser.request().host)
                                                    : std::to_string(parser.fault().status);
  };
  EXPECT_EQ(host(Get("GET / HTTP/1.1")), "h");
  EXPECT_EQ(host(Get("GET http://other:80/ HTTP/1.1")), "h") << "the field counts";
  EXPECT_EQ(host("GET HTTP://other:80/ HTTP/1.0\r\n\r\n"), "other:80");
  EXPECT_EQ(host("GET / HTTP/1.0\r\n\r\n"), "");
  for (const char* good : {"a.b.:80", "[::1]", "[::1]:80", "10.0.0.1:9500", "a_b-c", "h:"}) {
    EXPECT_EQ(host(std::string("GET / HTTP/1.1\r\nHost: ") + good + "\r\n\r\n"), good);
  }
  for (const char* bad : {"a b", "a/b", "u@h", "..", "::1", "[h]", "[::1", "h:99999", "h:-1",
                          "1.2.3", "http://h", "h,h", "h;h", "h%20"}) {
    EXPECT_EQ(host(std::string("GET / HTTP/1.1\r\nHost: ") + bad + "\r\n\r\n"), "400") << bad;
  }
}

// Requests, several in a row, that every way of cutting must read alike.
const std::string kStreams[] = {
    Get("GET /a?b=c HTTP/1.1", "X: y\r\n") + Get("GET /second HTTP/1.1"),
    Get("POST /b HTTP/1.1", "Content-Length: 11\r\n") + "hello world" + Get("GET /c HTTP/1.1"),
    Get("POST http://h/abs?q HTTP/1.1", "Transfer-Encoding: Chunked\r\nTrailer: T\r\n") +
        "5;ext=\"a\"\r\nhello\r\n6\r\n world\r\n0\r\nHost: 7\r\nT: t\r\n\r\n" +
        Get("HEAD /d HTTP/1.1", "Connection: close\r\n"),
    "\r\n\r\nGET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /older HTTP/1.0\r\n\r\n",
    Get("POST http://h HTTP/1.1", "Content-Length: 3\r\nExpect: 100-continue\r\n") + "abc",
    Get("GET /ws HTTP/1.1", "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"),
    Get("POST /bad HTTP/1.1", "Transfer-Encoding: chunked\r\n") + "5\r\nhelloX\r\n",
    Get("GET /fold HTTP/1.1", "A: b\r\n c\r\n"),
};

TEST(RequestParser, ReadsTheSameHoweverTheBytesAreCut) {
  for (const std::string& text : kStreams) {
    const std::string whole = Parse(text);
    std::vector<std::size_t> all;
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
      EXPECT_EQ(Parse(text, {cut}), whole) << "cut at " << cut;
      all.push_back(cut);
    }
    EXPECT_EQ(Parse(text, all), whole) << "byte by byte";
    for (std::size_t a = 1; a < text.size(); a += 3) {
      for (std::size_t b = a + 1; b < text.size(); b += 5) EXPECT_EQ(Parse(text, {a, b}), whole);
    }
  }
}

TEST(RequestParser, PutsBodiesTogether) {
  EXPECT_EQ(Parse(kStreams[1]),
            "POST /b /b ? 1.1 keep [Host=h] [Content-Length=11] {hello world}\n"
            "GET /c /c ? 1.1 keep [Host=h] {}\n");
  EXPECT_EQ(Parse(kStreams[2]),
            "POST http://h/abs?q /abs ?q 1.1 keep [Host=h] [Transfer-Encoding=Chunked] [Trailer=T] "
            "{hello world}\nHEAD /d /d ? 1.1 close [Host=h] [Connection=close] {}\n");
  EXPECT_EQ(
      Parse(kStreams[3]),
      "GET /old /old ? 1.0 keep [Connection=keep-alive] {}\nGET /older /older ? 1.0 close {}\n");
  EXPECT_EQ(Parse(kStreams[5]),
            "GET /ws /ws ? 1.1 close ws [Host=h] [Upgrade=WebSocket] "
            "[Connection=keep-alive, Upgrade] {}\n");
}

TEST(RequestParser, ABodyThatIsThereWholeIsNotCopied) {
  const std::string text = Get("POST /b HTTP/1.1", "Content-Length: 5\r\n") + "hello";
  RequestParser parser(kMaxHead, kMaxBody);
  EXPECT_EQ(parser.Put(text), text.size());
  EXPECT_EQ(parser.request().body.data(), text.data() + text.size() - 5);
}

TEST(RequestParser, RefusesWhatRequestsAreSmuggledWith) {
  const std::pair<const char*, int> shapes[] = {
      {"Content-Length: 5\r\nContent-Length: 6\r\n", 400},
      {"Content-Length: 5\r\nContent-Length: 5\r\n", 400},
      {"Content-Length: 5, 5\r\n", 400},
      {"Content-Length: +5\r\n", 400},
      {"Content-Length: 5 5\r\n", 400},
      {"Content-Length: 0x5\r\n", 400},
      {"Content-Length: -1\r\n", 400},
      {"Content-Length:\r\n", 400},
      {"Content-Length: 99999999999999999999\r\n", 400},
      {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Transfer-Encoding: gzip, chunked\r\n", 501},
      {"Transfer-Encoding: chunked, identity\r\n", 501},
      {"Transfer-Encoding: identity\r\n", 501},
      {"Transfer-Encoding: xchunked\r\n", 501},
      {"Transfer-Encoding : chunked\r\n", 400},
      {"Transfer-Encoding:\r\n chunked\r\n", 400},
      {"Content-Length\r\n: 5\r\n", 400},
      {" Content-Length: 5\r\n", 400},
      {"Host: other\r\n", 400},
      {"X: a\rb\r\n", 400},
      {"X: a\nContent-Length: 5\r\n", 400},
      {"X\x80: a\r\n", 400},
      {": a\r\n", 400},
  };
  for (const auto& [fields, status] : shapes) {
    EXPECT_EQ(StatusOf(Get("POST / HTTP/1.1", fields) + "hello"), status) << fields;
  }
  EXPECT_EQ(StatusOf(Get("POST / HTTP/1.1", std::string("X: nul\0here\r\n", 13))), 400);
  EXPECT_EQ(StatusOf("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 501);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\n\r\n"), 400) << "no Host";
}

TEST(RequestParser, RefusesWhatIsNotHttp) {
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\nHost: h\n\n"), 400) << "bare line feeds";
  EXPECT_EQ(StatusOf(Get("GET  / HTTP/1.1")), 400);
  EXPECT_EQ(StatusOf(Get("GET / x HTTP/1.1")), 400);
  EXPECT_EQ(StatusOf(Get("GET /")), 400);
  EXPECT_EQ(StatusOf(Get("GET / HTTP/1.1x")), 400);
  EXPECT_EQ(StatusOf(Get("GE(T / HTTP/1.1")), 400);
  EXPECT_EQ(StatusOf(Get(" / HTTP/1.1")), 400);
  EXPECT_EQ(StatusOf(std::string("\x16\x03\x01\x02\x00\x01\x0a\x00", 8)), 400) << "TLS";
  EXPECT_EQ(StatusOf(Get("GET / HTTP/2.0")), 505);
  EXPECT_EQ(StatusOf(Get("GET / HTTP/1.2")), 505);
  EXPECT_EQ(StatusOf(Get("GET / HTTP/0.9")), 505);
  EXPECT_EQ(StatusOf("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
  EXPECT_EQ(StatusOf(Get("POST / HTTP/1.1", "Expect: miracles\r\n")), 417);
}

TEST(RequestParser, RefusesChunksThatAreNot) {
  const std::string head = Get("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\n");
  for (const char* body : {"x\r\n",
                           "5\r\nhello5\r\nabcde",
                           "-1\r\n",
                           "5 \r\nhello\r\n",
                           "ffffffffffffffff1\r\n",
                           "5\nhello\r\n0\r\n\r\n",
                           "0\r\nbad trailer\r\n\r\n",
                           "5\r\nhello\n0\r\n\r\n",
                           "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
                           "5;a=\"\r\nhello\r\n0\r\n\r\n",
                           "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
                           "5;a\nb\r\nhello\r\n0\r\n\r\n",
                           "5;\r\nhello\r\n0\r\n\r\n",
                           "5;a=\r\nhello\r\n0\r\n\r\n",
                           "5;=b\r\nhello\r\n0\r\n\r\n",
                           "5;a=\"b\"c\r\nhello\r\n0\r\n\r\n",
                           "5;a b\r\nhello\r\n0\r\n\r\n",
                           "5;a \r\nhello\r\n0\r\n\r\n",
                           "5 a\r\nhello\r\n0\r\n\r\n",
                           "5;a=\"\\\n\"\r\nhello\r\n0\r\n\r\n",
                           "5;a\r\r\nhello\r\n0\r\n\r\n",
                           "00000000000000005\r\nhello\r\n0\r\n\r\n",
                           "0\r\nA: b\r\n c\r\n\r\n",
                           "0\r\n A: b\r\n\r\n",
                           "0\r\nA: b\n\r\n",
                           "0\r\nA: b\r\n\n",
                           "0\r\nA : b\r\n\r\n",
                           "0\r\n: b\r\n\r\n",
                           "0\r\nA: \x01\r\n\r\n",
                           "0\n\r\n",
                           ";a\r\n"}) {
    EXPECT_EQ(StatusOf(head + body), 400) << body;
  }
}

TEST(RequestParser, DropsExtensionsAndTrailersThatAreWellFormed) {
  const std::string head = Get("POST /p HTTP/1.1", "Transfer-Encoding: chunked\r\n");
  const std::string read = "POST /p /p ? 1.1 keep [Host=h] [Transfer-Encoding=chunked] {hello}\n";
  for (const char* body :
       {"5;a\r\nhello\r\n0\r\n\r\n", "5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n",
        "0005 ; a = b ; c=\"\\\"\"\r\nhello\r\n00\r\n\r\n",
        "5;a=\";\"\r\nhello\r\n0\r\nContent-Length: 7\r\nTransfer-Encoding: x\r\nHost: z\r\n\r\n",
        "5\r\nhello\r\n0\r\nA:\r\nB: \xff c\t\r\n\r\n", "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"}) {
    EXPECT_EQ(Parse(head + body), read) << body;
    EXPECT_EQ(Parse(head + body + Get("GET /n HTTP/1.1")),
              read + "GET /n /n ? 1.1 keep [Host=h] {}\n");
  }
}

TEST(RequestParser, HoldsToItsLimits) {
  const auto filler = [](std::size_t n) { return std::string(n, 'a'); };
  const std::string bare = Get("GET / HTTP/1.1", "X: \r\n");
  const std::string fits = Get("GET / HTTP/1.1", "X: " + filler(kMaxHead - bare.size()) + "\r\n");
  ASSERT_EQ(fits.size(), kMaxHead);
  EXPECT_EQ(StatusOf(fits), 0);
  EXPECT_EQ(StatusOf(Get("GET / HTTP/1.1", "X: " + filler(kMaxHead - bare.size() + 1) + "\r\n")),
            431);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nX: " + filler(kMaxHead)), 431) << "no end in sight";
  EXPECT_EQ(StatusOf(Get("GET /" + filler(kMaxHead) + " HTTP/1.1")), 414);
  EXPECT_EQ(StatusOf("GET /" + filler(kMaxHead)), 414) << "no end in sight";

  const auto post = [&](std::size_t n) {
    return Get("POST / HTTP/1.1", "Content-Length: " + std::to_string(n) + "\r\n") + filler(n);
  };
  EXPECT_EQ(StatusOf(post(kMaxBody)), 0);
  EXPECT_EQ(StatusOf(post(kMaxBody + 1)), 413);
  const std::string chunked = Get("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\n");
  std::string body;
  for (int i = 0; i < 4; ++i) body += "400\r\n" + filler(1024) + "\r\n";
  EXPECT_EQ(StatusOf(chunked + body + "0\r\n\r\n"), 0);
  EXPECT_EQ(StatusOf(chunked + body + "1\r\na\r\n0\r\n\r\n"), 413);
  EXPECT_EQ(StatusOf(chunked + "1;" + filler(kMaxHead)), 431) << "endless chunk extension";
  EXPECT_EQ(StatusOf(chunked + "0\r\nT: " + filler(kMaxHead)), 431) << "endless trailer";
}

TEST(RequestParser, AsksForABodyOnlyWhileItIsMissing) {
  const std::string head = Get("POST / HTTP/1.1", "Content-Length: 3\r\nExpect: 100-continue\r\n");
  RequestParser waiting(kMaxHead, kMaxBody);
  EXPECT_EQ(waiting.Put(head), head.size());
  EXPECT_TRUE(waiting.TakeContinue());
  EXPECT_FALSE(waiting.TakeContinue()) << "once only";
  RequestParser whole(kMaxHead, kMaxBody);
  whole.Put(head + "abc");
  EXPECT_FALSE(whole.TakeContinue());
}

TEST(RequestParser, SurvivesRandomBytes) {
  Rng rng(7);
  const std::string alphabet = "GET POST/ HTTP/1.1\r\n\r\nHost:h0159;,=chunked\xff\t";
  for (int round = 0; round < 3000; ++round) {
    std::string text = rng.Chance(0.7) ? kStreams[rng.Below(std::size(kStreams))] : "";
    for (std::uint64_t n = rng.Below(12); n > 0; --n) {
      const auto at = rng.Below(text.size() + 1);
      switch (rng.Below(3)) {
        case 0:
          text.insert(at, 1, alphabet[rng.Below(alphabet.size())]);
          break;
        case 1:
          if (at < text.size()) text.erase(at, 1 + rng.Below(4));
          break;
        default:
          if (at < text.size()) text[at] = static_cast<char>(rng.Next());
      }
    }
    std::vector<std::size_t> cuts;
    for (std::size_t at = rng.Below(20); at < text.size(); at += 1 + rng.Below(20))
      cuts.push_back(at);
    // A failure may be seen sooner when more is there, so only what was read before it is compared.
    const std::string cut = Parse(text, cuts);
    EXPECT_EQ(cut, Parse(text)) << text;
  }
}

// ---- responses

struct Answer {
  int status = 0;
  std::string body;
  bool keep_alive = false;
  std::size_t used = 0;
  HttpParseState state = HttpParseState::kHead;
};

Answer ParseAnswer(std::string_view text, std::size_t piece, bool eof = false,
                   bool to_head = false) {
  ResponseParser parser(kMaxHead, kMaxBody);
  parser.Begin(to_head);
  Answer answer;
  std::string unread;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    if (parser.state() == HttpParseState::kReady || parser.state() == HttpParseState::kFailed)
      break;
    unread.append(text.substr(at, piece));
    const Exact exact(unread);
    const std::size_t used = parser.Put(exact.view());
    unread.erase(0, used);
    answer.used += used;
  }
  if (eof) parser.PutEof();
  answer.state = parser.state();
  if (answer.state == HttpParseState::kReady) {
    answer.status = parser.response().status;
    answer.body = parser.response().body;
    answer.keep_alive = parser.keep_alive();
  }
  return answer;
}

TEST(ResponseParser, ReadsTheSameHoweverTheBytesAreCut) {
  const std::string text =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n"
      "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    const Answer answer = ParseAnswer(text, piece);
    EXPECT_EQ(answer.status, 200) << piece;
    EXPECT_EQ(answer.body, "abcde");
    EXPECT_TRUE(answer.keep_alive);
  }
}

TEST(ResponseParser, KnowsWhereAResponseEnds) {
  EXPECT_EQ(ParseAnswer("HTTP/1.1 204 No Content\r\n\r\n", 99).status, 204);
  EXPECT_EQ(ParseAnswer("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", 99).status, 304);
  EXPECT_EQ(ParseAnswer("HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\n", 99, false, true).status,
            200);
  const Answer until_eof = ParseAnswer("HTTP/1.0 200 x\r\n\r\nall of it", 4, true);
  EXPECT_EQ(until_eof.body, "all of it");
  EXPECT_FALSE(until_eof.keep_alive);
  const std::string head = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n";
  const Answer upgraded = ParseAnswer(head + "\x81\x01x", 999);
  EXPECT_EQ(upgraded.status, 101);
  EXPECT_EQ(upgraded.used, head.size());
}

TEST(ResponseParser, RefusesBrokenAndEndlessResponses) {
  EXPECT_EQ(ParseAnswer("HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\nabc", 9, true).state,
            HttpParseState::kFailed);
  EXPECT_EQ(ParseAnswer("HTTP/1.1 200", 9, true).state, HttpParseState::kFailed);
  EXPECT_EQ(ParseAnswer("SSH-2.0-x\r\n\r\n", 99).state, HttpParseState::kFailed);
  EXPECT_EQ(ParseAnswer("HTTP/1.1 200 x\r\nA: " + std::string(kMaxHead, 'a'), 99).state,
            HttpParseState::kFailed);
  EXPECT_EQ(ParseAnswer("HTTP/1.0 200 x\r\n\r\n" + std::string(kMaxBody + 1, 'a'), 99).state,
            HttpParseState::kFailed);
  EXPECT_EQ(
      ParseAnswer("HTTP/1.1 200 x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", 99).state,
      HttpParseState::kFailed);
}

// ---- text

TEST(HttpText, DecodesPercentEscapesToAnyBytes) {
  std::string out;
  EXPECT_TRUE(PercentDecode("a%20b%ff%00+", false, &out));
  EXPECT_EQ(out, std::string("a b\xff\0+", 6));
  EXPECT_TRUE(PercentDecode("a+b", true, &out));
  EXPECT_EQ(out, "a b");
  for (const char* bad : {"%", "%1", "a%zz", "%g0", "%0g", "abc%2"}) {
    EXPECT_FALSE(PercentDecode(bad, false, &out)) << bad;
  }
}

TEST(HttpText, FindsAQueryValueByItsDecodedName) {
  std::string out;
  EXPECT_TRUE(QueryValue("a=1&message=x%26y&b", "message", &out));
  EXPECT_EQ(out, "x&y");
  EXPECT_TRUE(QueryValue("m%65ssage=1", "message", &out));
  EXPECT_TRUE(QueryValue("a&b=", "a", &out));
  EXPECT_EQ(out, "");
  EXPECT_FALSE(QueryValue("ab=1", "a", &out));
  EXPECT_FALSE(QueryValue("", "a", &out));
  EXPECT_FALSE(QueryValue("a=%zz", "a", &out));
}

TEST(HttpText, AFieldCannotBecomeTwo) {
  std::string out;
  AppendAnswer(out, {}, 200, "a\r\nX: 1", "b", {{"Y", "1\r\nZ: 2"}, {"Z\n", "3"}, {"Good", "4"}});
  EXPECT_EQ(out, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nGood: 4\r\n\r\nb");
}

}  // namespace
}  // namespace baiwan::net
