// How fast a backlog gets to another cell once it can be reached again: two cells on one loop and
// thread, stores in memory, their batches passed on without a link.
//
//   backlog_bench [users] [messages of each] [friends of each] [body bytes]
//
// Every message is committed on its own among those of the other users, so that each stands in a
// section of its own: the dear case for reading it back. While the backlog drains, one user in ten
// goes on sending. Both cells share one processor here, and neither has a client to serve.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cell/logic/logic.h"
#include "net/transport.h"
#include "store/engine/memory_kv.h"

namespace baiwan::cell {
namespace {

class Deadly final : public Fatal {
 public:
  void Die(std::string_view why) override {
    fmt::print(stderr, "{}\n", why);
    std::abort();
  }
};

class Deaf final : public ClientPort {
 public:
  void ToClient(SessionId, const wire::ServerFrame& frame) override {
    refused += frame.refusals_size();
  }
  int refused = 0;
};

struct Shape {
  std::uint32_t users = 2000;
  Seq messages = 200;
  std::uint32_t friends = 100;
  std::size_t body = 100;
};

// A cell, and what it has said to the other one.
class Side final : private RelayPort {
 public:
  Side(NodeContext& node, CellId cell, const placement::PlacementTable& table, const Shape& shape)
      : kv_(std::move(*store::OpenMemoryKv(disk_, {}, &node.loop))) {
    store::RecoveryReport report;
    store_ = std::move(*store::Store::Open(*kv_, 0, {}, &report));
    const placement::UserLayout layout(2, placement::kDefaultPartitions);
    std::vector<std::pair<PartitionId, wire::UserRecord>> users;
    for (std::uint32_t i = 0; i < shape.users; ++i) {
      wire::UserRecord record;
      record.user = layout.UserAt(cell, i);
      for (std::uint32_t j = 0; j < shape.friends; ++j) {
        const std::uint32_t f = (cell == 0 ? i + j : i + shape.users - j) % shape.users;
        record.friends.push_back({layout.UserAt(1 - cell, f), 0, 0, 0, 0});
      }
      std::sort(record.friends.begin(), record.friends.end(),
                [](const auto& a, const auto& b) { return a.id < b.id; });
      users.emplace_back(table.PartitionOf(record.user), record);
    }
    if (store_->ImportNow(users) != store::StoreError{}) std::abort();
    LogicOptions options;
    options.cell = cell;
    logic = std::make_unique<Logic>(node, options, table, *store_);
    logic->SetRelay(this);
    logic->Start();
  }
  ~Side() override { logic.reset(); }

  std::deque<std::pair<bool, std::string>> out;  // true: a reply
  std::unique_ptr<Logic> logic;

 private:
  void Send(CellId, std::string_view batch) override { out.emplace_back(false, batch); }
  void Reply(CellId, std::string_view batch) override { out.emplace_back(true, batch); }
  void SetAccepting(bool) override {}

  store::MemoryDisk disk_;
  std::unique_ptr<store::Kv> kv_;
  std::unique_ptr<store::Store> store_;
};

void Measure(const Shape& shape) {
  const auto loop = std::move(*net::RealLoop::Create({}));
  Rng rng(1);
  Budget budget(16ULL << 30);
  Deadly fatal;
  NodeContext node{*loop, loop->transport(), loop->clock(), rng, budget, fatal, NoLog()};
  const placement::PlacementTable table{2};
  const placement::UserLayout layout(2, placement::kDefaultPartitions);
  Side sides[2] = {{node, 0, table, shape}, {node, 1, table, shape}};
  Deaf client;
  const std::string body(shape.body, 'x');
  std::vector<Seq> sent(shape.users, 0);
  const auto submit = [&](std::uint32_t user) {
    const Seq s = ++sent[user];
    wire::ClientFrame frame;
    frame.set_request_id(1);
    frame.set_reply_when(wire::REPLY_TAKEN);
    wire::Submit* to = frame.add_submits();
    to->set_send_id(s);
    to->set_friend_(layout.UserAt(1, (user + s % shape.friends) % shape.users));
    to->set_body(body);
    sides[0].logic->FromClient(client, 1, layout.UserAt(0, user), frame);
  };
  const auto carry = [&] {
    for (const CellId from : {0U, 1U}) {
      while (!sides[from].out.empty()) {
        const auto [reply, batch] = std::move(sides[from].out.front());
        sides[from].out.pop_front();
        Logic& to = *sides[1 - from].logic;
        reply ? to.ReplyFromPeer(from, batch) : to.FromPeer(from, batch);
      }
    }
  };
  const LogicCounters& c = sides[0].logic->counters();
  for (Seq s = 1; s <= shape.messages; ++s) {
    for (std::uint32_t i = 0; i < shape.users; ++i) submit(i);
    while (c.stored < s * shape.users) loop->RunOnce(kMillisecond);
  }
  const std::uint64_t backlog = c.stored;
  const Nanos begin = loop->clock().Monotonic();
  Nanos longest = 0;
  std::uint32_t next = 0;
  sides[0].logic->PathUp(1, sides[1].logic->incarnation());
  while (c.acknowledged < backlog) {
    const Nanos turn = loop->clock().Monotonic();
    if (loop->clock().Monotonic() - begin > next * kMillisecond) {
      for (std::uint32_t i = 0; i < 10; ++i) submit((next * 10 + i) * 10 % shape.users);
      ++next;
    }
    loop->RunOnce(0);
    carry();
    longest = std::max(longest, loop->clock().Monotonic() - turn);
  }
  const double seconds = static_cast<double>(loop->clock().Monotonic() - begin) / kSecond;
  fmt::print(
      "{} messages of {} users: {:.1f} s, {:.0f} a second, {} forwards, longest turn {} ms\n",
      backlog, shape.users, seconds, static_cast<double>(backlog) / seconds, c.forwarded,
      longest / kMillisecond);
  if (client.refused > 0) fmt::print("{} refused\n", client.refused);
}

}  // namespace
}  // namespace baiwan::cell

int main(int argc, char** argv) {
  baiwan::cell::Shape shape;
  const auto number = [&](int i, std::uint64_t otherwise) {
    return argc > i ? std::strtoull(argv[i], nullptr, 10) : otherwise;
  };
  shape.users = static_cast<std::uint32_t>(number(1, shape.users));
  shape.messages = number(2, shape.messages);
  shape.friends = static_cast<std::uint32_t>(number(3, shape.friends));
  shape.body = number(4, shape.body);
  baiwan::cell::Measure(shape);
}
