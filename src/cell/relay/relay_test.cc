// A relay and the links of another cell's relay: which of them counts.
#include "cell/relay/relay.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/bytes.h"
#include "cell/link_types.h"
#include "cell/testing/strict.h"
#include "net/transport.h"

namespace baiwan::cell {
namespace {

const std::string kSecret = "a secret of some length";

class Hears final : public PeerPort {
 public:
  void PathUp(CellId, Incarnation) override {}
  void PathDown(CellId) override {}
  void FromPeer(CellId, std::string_view batch) override { batches.emplace_back(batch); }
  void ReplyFromPeer(CellId, std::string_view) override {}
  std::vector<std::string> batches;
};

// Another cell's relay, as far as its links show.
class Dialer final : public net::LinkHandler {
 public:
  Dialer(NodeContext& node, const Endpoint& to)
      : link(net::DialLink(node, to, {"relay", 1, 0, 0}, kSecret, this, {})) {}
  void OnLinkUp(net::Link&, const net::LinkIdentity&) override { ++ups; }
  void OnLinkFrame(net::Link&, std::uint8_t, std::uint64_t, std::string_view) override {}
  void OnLinkDown(net::Link&, NetError) override {}
  int ups = 0;
  std::unique_ptr<net::Link> link;
};

TEST(RelayTest, WhenTheNewerOfTwoLinksDiesTheOtherSideIsHeardAgain) {
  const auto loop = std::move(*net::RealLoop::Create({}));
  Rng rng{1};
  Budget budget{1ULL << 30};
  Unlucky fatal;
  NodeContext node{*loop, loop->transport(), loop->clock(), rng, budget, fatal, NoLog()};
  RelayOptions options;
  options.secret = kSecret;
  Hears logic;
  const auto relay = std::move(*Relay::Create(node, options));
  relay->Attach(logic, 1);
  const auto run_until = [&](const std::function<bool()>& done) {
    const Nanos until = SystemClock().Monotonic() + 20 * kSecond;
    while (!done() && SystemClock().Monotonic() < until) loop->RunOnce(kMillisecond);
    return done();
  };
  Dialer older(node, relay->local());
  ASSERT_TRUE(run_until([&] { return older.ups > 0; }));
  auto newer = std::make_unique<Dialer>(node, relay->local());
  ASSERT_TRUE(run_until([&] { return newer->ups > 0; }));
  newer.reset();
  EXPECT_TRUE(run_until([&] {
    older.link->Send(Code(LinkType::kForward), 1, "a batch");
    return !logic.batches.empty();
  }));
  relay->Detach();
}

}  // namespace
}  // namespace baiwan::cell
