// What the protocols cost in CPU above the byte stream: no sockets, no system calls.
//
//   build/release/protocol_bench
#include <benchmark/benchmark.h>

#include <memory>
#include <string>

#include "net/http.h"
#include "net/http_answer.h"
#include "net/http_parser.h"
#include "net/link_framing.h"
#include "net/testing/memory_transport.h"
#include "net/utf8.h"
#include "net/websocket.h"
#include "net/ws_codec.h"

namespace baiwan::net {
namespace {

const std::string kGet =
    "GET /api/c/123456/234567/17/?message=hello%20world HTTP/1.1\r\nHost: 10.0.2.20:9500\r\n"
    "User-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n\r\n";

void HttpParse(benchmark::State& state) {
  RequestParser parser(8 << 10, 256 << 10);
  for (auto _ : state) {
    benchmark::DoNotOptimize(parser.Put(kGet));
    benchmark::DoNotOptimize(parser.request());
    parser.Next();
  }
}
BENCHMARK(HttpParse);

void HttpAnswer(benchmark::State& state) {
  std::string out;
  for (auto _ : state) {
    out.clear();
    AppendAnswer(out, {}, 200, "text/plain", "OK", {});
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(HttpAnswer);

// A stream without anything behind it: what is written is dropped.
class NullStream final : public ByteStream {
 public:
  void SetHandler(StreamHandler* to) override { handler = to; }
  void SetLimits(const StreamLimits&) override {}
  void Write(std::string_view data) override { out.append(data); }
  std::string& Output() override { return out; }
  std::size_t unsent() const override { return out.size(); }
  void PauseReading() override {}
  void ResumeReading() override {}
  void CloseAfterFlush() override {}
  const Endpoint& peer() const override { return endpoint; }
  Endpoint local() const override { return {}; }
  std::uint64_t bytes_in() const override { return 0; }
  std::uint64_t bytes_out() const override { return 0; }
  StreamHandler* handler = nullptr;
  std::string out;
  Endpoint endpoint{"127.0.0.1", 1};
};

// Hands the first stream it makes to whoever listens, or connects.
class NullTransport final : public Transport {
 public:
  struct NullListener final : Listener {
    const Endpoint& local() const override { return at; }
    void Pause() override {}
    void Resume() override {}
    Endpoint at{"127.0.0.1", 1};
  };
  Result<std::unique_ptr<Listener>, NetError> Listen(const Endpoint&, AcceptFn on_accept) override {
    accept = std::move(on_accept);
    return std::unique_ptr<Listener>(std::make_unique<NullListener>());
  }
  void Connect(const Endpoint&, Nanos, ConnectFn) override {}
  // The server's end of a new connection.
  NullStream* Open() {
    auto stream = std::make_unique<NullStream>();
    NullStream* const raw = stream.get();
    accept(std::move(stream));
    return raw;
  }
  AcceptFn accept;
};

struct NullWorld {
  MemoryWorld world;
  NullTransport transport;
  NodeContext node{world.loop,   transport,   world.clock, world.rng,
                   world.budget, world.fatal, world.log};
};

class OkService final : public HttpService, public WsHandler {
 public:
  void OnRequest(HttpExchange& exchange) override {
    if (exchange.request().wants_websocket) {
      socket = exchange.Upgrade(this);
    } else {
      exchange.Reply(200, "text/plain", "OK");
    }
  }
  void OnAbandoned(HttpExchange&) override {}
  void OnMessage(bool, std::string_view data) override {
    benchmark::DoNotOptimize(data.data());
    if (echo) socket->SendBinary(data);
  }
  void OnClosed(std::uint16_t, std::string_view) override {}
  std::unique_ptr<WebSocket> socket;
  bool echo = false;
};

// From the bytes of a read to the bytes of its answers, `range` requests in one read.
void HttpServe(benchmark::State& state) {
  NullWorld w;
  OkService service;
  const auto server = HttpServer::Listen(w.node, {"127.0.0.1", 0}, service, {});
  NullStream* const stream = w.transport.Open();
  std::string text;
  for (std::int64_t i = 0; i < state.range(0); ++i) text += kGet;
  for (auto _ : state) {
    stream->handler->OnData(text);
    stream->out.clear();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(HttpServe)->Arg(1)->Arg(16);

std::string MaskedFrames(std::int64_t count, std::size_t size) {
  std::string frames;
  for (std::int64_t i = 0; i < count; ++i) {
    AppendMaskedWsFrame(frames, WsOpcode::kBinary, std::string(size, 'x'),
                        static_cast<std::uint32_t>(Mix(static_cast<std::uint64_t>(i))));
  }
  return frames;
}

// 64 masked frames in one read. Decoding unmasks in place, so each round masks them back again by
// decoding once more: the work of a round is the same.
void WsDecode(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  std::string frames = MaskedFrames(64, size);
  WsDecoder decoder(true, 1 << 20);
  for (auto _ : state) {
    char* at = frames.data();
    char* const end = at + frames.size();
    while (decoder.Next(&at, end) == WsDecoder::Event::kMessage) {
      benchmark::DoNotOptimize(decoder.data().data());
    }
  }
  state.SetItemsProcessed(state.iterations() * 64);
  state.SetBytesProcessed(state.iterations() * 64 * state.range(0));
}
BENCHMARK(WsDecode)->Arg(32)->Arg(128)->Arg(4096);

void WsEncode(benchmark::State& state) {
  const std::string payload(static_cast<std::size_t>(state.range(0)), 'x');
  const bool masked = state.range(1) != 0;
  Rng rng(1);
  std::string out;
  for (auto _ : state) {
    out.clear();
    for (int i = 0; i < 64; ++i) {
      if (masked) {
        AppendMaskedWsFrame(out, WsOpcode::kBinary, payload,
                            static_cast<std::uint32_t>(rng.Next()));
      } else {
        AppendWsFrame(out, WsOpcode::kBinary, payload);
      }
    }
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations() * 64);
}
BENCHMARK(WsEncode)->Args({32, 0})->Args({32, 1})->Args({128, 1})->Args({4096, 1});

// The whole way of 64 frames through a server's connection, each echoed.
void WsServe(benchmark::State& state) {
  NullWorld w;
  OkService service;
  service.echo = true;
  const auto server = HttpServer::Listen(w.node, {"127.0.0.1", 0}, service, {});
  NullStream* const stream = w.transport.Open();
  stream->handler->OnData(
      "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  std::string frames = MaskedFrames(64, 32);
  for (auto _ : state) {
    stream->handler->OnData(frames);
    stream->out.clear();
  }
  state.SetItemsProcessed(state.iterations() * 64);
}
BENCHMARK(WsServe);

void Utf8(benchmark::State& state) {
  std::string text;
  while (text.size() < 1024)
    text += state.range(0) == 0 ? "plain ascii " : "\xe7\x99\xbe\xe4\xb8\x87";
  for (auto _ : state) benchmark::DoNotOptimize(IsUtf8(text));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}
BENCHMARK(Utf8)->Arg(0)->Arg(1);

void LinkDecode(benchmark::State& state) {
  std::string frames;
  const std::string payload(static_cast<std::size_t>(state.range(0)), 'x');
  for (std::uint64_t i = 0; i < 64; ++i) AppendLinkFrame(frames, 1, i, payload);
  LinkDecoder decoder(8 << 20);
  for (auto _ : state) {
    std::string_view rest = frames;
    while (decoder.Next(&rest) == LinkDecoder::Event::kFrame) {
      benchmark::DoNotOptimize(decoder.payload().data());
    }
  }
  state.SetItemsProcessed(state.iterations() * 64);
  state.SetBytesProcessed(state.iterations() * 64 * state.range(0));
}
BENCHMARK(LinkDecode)->Arg(64)->Arg(1024)->Arg(16384);

void LinkEncode(benchmark::State& state) {
  const std::string payload(static_cast<std::size_t>(state.range(0)), 'x');
  std::string out;
  for (auto _ : state) {
    out.clear();
    for (std::uint64_t i = 0; i < 64; ++i) AppendLinkFrame(out, 1, i, payload);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations() * 64);
  state.SetBytesProcessed(state.iterations() * 64 * state.range(0));
}
BENCHMARK(LinkEncode)->Arg(64)->Arg(1024)->Arg(16384);

}  // namespace
}  // namespace baiwan::net

BENCHMARK_MAIN();
