// What base/loop.h and base/transport.h promise, as tests over a pair of loops and transports. The
// tests are in transport_contract_test.cc; whoever has a transport instantiates them with it, so
// that what a role finds in the simulated world it finds in the real one.
//
// For tests. One thread.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/loop.h"
#include "base/transport.h"

namespace baiwan::sim {

// Two sides that can reach each other.
class Pair {
 public:
  virtual ~Pair() = default;
  virtual Loop& loop(int side) = 0;
  virtual Transport& transport(int side) = 0;
  virtual Endpoint ListenAddress() = 0;  // of side 0, with port 0
  virtual bool RunUntil(const std::function<bool()>& holds) = 0;
  virtual void RunFor(Nanos how_long) = 0;
  virtual std::size_t MoreThanKernelsHold() = 0;  // bytes
  virtual std::string Describe() { return {}; }
};

// One end of a connection that keeps what it gets.
class End final : public StreamHandler {
 public:
  explicit End(std::unique_ptr<ByteStream> s = nullptr) { Take(std::move(s)); }
  void Take(std::unique_ptr<ByteStream> s) {
    stream = std::move(s);
    if (stream) stream->SetHandler(this);
  }
  std::size_t OnData(std::string_view data) override {
    ++reads;
    if (on_data) return on_data(data);
    got += data;
    return data.size();
  }
  void OnWritable() override {
    ++writables;
    if (on_writable) on_writable();
  }
  bool OnEndOfInput() override {
    ++ends;
    return answers;
  }
  void OnClosed(NetError e) override {
    ++closes;
    error = e;
    if (on_closed) on_closed();
  }

  std::unique_ptr<ByteStream> stream;
  std::string got;
  int reads = 0;
  int writables = 0;
  int closes = 0;
  int ends = 0;
  bool answers = false;  // after the other side has ended
  NetError error{};
  std::function<std::size_t(std::string_view)> on_data;
  std::function<void()> on_writable;
  std::function<void()> on_closed;
};

struct Kind {
  std::string name;
  std::function<std::unique_ptr<Pair>()> make;
};

class TransportContract : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    pair_ = GetParam().make();
    if (pair_ == nullptr) GTEST_SKIP() << "the kernel refuses it";
  }
  void TearDown() override {
    if (HasFailure() && pair_) std::fputs(pair_->Describe().c_str(), stderr);
    server_.stream.reset();
    client_.stream.reset();
    listener_.reset();
  }

  void Listen() {
    auto made = pair_->transport(0).Listen(
        pair_->ListenAddress(), [this](auto stream) { server_.Take(std::move(stream)); });
    ASSERT_TRUE(made.ok());
    listener_ = std::move(*made);
  }
  void Dial() {
    pair_->transport(1).Connect(listener_->local(), 5 * kSecond, [this](auto made) {
      ASSERT_TRUE(made.ok()) << Message(made.error());
      client_.Take(std::move(*made));
    });
  }
  void ConnectBoth() {
    Listen();
    Dial();
    Expect([this] { return server_.stream && client_.stream; });
  }
  void Expect(const std::function<bool()>& holds) { ASSERT_TRUE(pair_->RunUntil(holds)); }

  std::unique_ptr<Pair> pair_;
  std::unique_ptr<Listener> listener_;
  End server_;
  End client_;
};

}  // namespace baiwan::sim
