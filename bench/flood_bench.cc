// How long an honest sender waits beside clients who ask for more than anybody can read: one cell,
// its store on disk, in a process of its own, and clients on /v1/connect.
//
//   flood_bench [clients] [messages in each inbox] [seconds] [page]
//
// Eight clients share a user whose inbox is long. Each asks for a thousand pages of its begin in
// one go, and goes on asking; every second one reads no answer. Meanwhile one user sends a message
// every ten milliseconds and notes when it is stored. Needs as many descriptors as clients.
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/testing/temp_folder.h"
#include "cell/host.h"
#include "net/transport.h"
#include "net/websocket.h"
#include "store/engine/rocksdb_kv.h"

namespace baiwan::cell {
namespace {

constexpr std::uint32_t kDevices = 8;  // of a reader
constexpr std::uint32_t kAtOnce = 1000;
constexpr std::uint64_t kMemory = 2ULL << 30;

struct Shape {
  std::uint32_t clients = 10'000;
  Seq messages = 400;
  std::uint32_t seconds = 20;
  std::uint32_t page = 100;

  std::uint32_t readers() const { return (clients + kDevices - 1) / kDevices; }
};

const placement::UserLayout& Layout() {
  static const placement::UserLayout layout(1, placement::kDefaultPartitions);
  return layout;
}
UserId Reader(std::uint32_t i) { return Layout().UserAt(0, 2 * i + 2); }
UserId Writer(std::uint32_t i) { return Layout().UserAt(0, 2 * i + 3); }
UserId Honest() { return Layout().UserAt(0, 0); }
UserId HonestFriend() { return Layout().UserAt(0, 1); }

struct Side {
  explicit Side(std::uint64_t memory)
      : loop(std::move(*net::RealLoop::Create({}))), budget(memory) {}
  std::unique_ptr<net::RealLoop> loop;
  Rng rng{1};
  Budget budget;
  NodeContext node{*loop, loop->transport(), SystemClock(), rng, budget, ProcessFatal(), NoLog()};
};

// ---------------------------------------------------------------- the cell

class Deaf final : public ClientPort {
 public:
  void ToClient(SessionId, const wire::ServerFrame&) override {}
};

void Import(store::Store& store, const placement::PlacementTable& table, const Shape& shape) {
  std::vector<std::pair<PartitionId, wire::UserRecord>> users;
  const auto befriend = [&](UserId a, UserId b) {
    for (const auto& [user, other] : {std::pair{a, b}, std::pair{b, a}}) {
      wire::UserRecord record;
      record.user = user;
      record.friends.push_back({other, 0, 0, 0, 0});
      users.emplace_back(table.PartitionOf(user), record);
    }
  };
  befriend(Honest(), HonestFriend());
  for (std::uint32_t i = 0; i < shape.readers(); ++i) befriend(Writer(i), Reader(i));
  if (store.ImportNow(users) != store::StoreError{}) std::abort();
}

// One message of each pair in a commit, so that no two of an inbox stand in one block.
void Fill(Side& side, Logic& logic, const Shape& shape) {
  Deaf client;
  for (Seq s = 1; s <= shape.messages; ++s) {
    for (std::uint32_t i = 0; i < shape.readers(); ++i) {
      wire::ClientFrame frame;
      frame.set_request_id(1);
      frame.set_reply_when(wire::REPLY_TAKEN);
      wire::Submit* submit = frame.add_submits();
      submit->set_send_id(s);
      submit->set_friend_(Reader(i));
      submit->set_body(std::string(200, 'm'));
      logic.FromClient(client, 1, Writer(i), frame);
    }
    while (logic.counters().delivered < s * shape.readers()) side.loop->RunOnce(kMillisecond);
  }
}

// Until it is killed. Says at which port it is to be found.
int ServeCell(const Shape& shape, const std::string& folder, int to) {
  Side side(kMemory);
  auto kv = store::OpenRocksDb(folder, {}, side.loop.get(), NoLog());
  if (!kv) return 1;
  store::StoreOptions store_options;
  store_options.budget = &side.budget;
  const auto store = std::move(*store::Store::Open(**kv, 0, store_options, nullptr));
  const placement::PlacementTable table{1};
  Import(*store, table, shape);
  {
    Logic logic(side.node, {}, table, *store);
    logic.Start();
    Fill(side, logic, shape);
    bool drained = false;
    logic.Drain([&drained] { drained = true; });
    while (!drained) side.loop->RunOnce(kMillisecond);
  }
  HostOptions options;
  options.name = "cell0";
  options.secret = "secret";
  options.registry = {"127.0.0.1", 1};
  const auto host = CellHost::Create(side.node, options, table, store.get());
  if (!host) return 1;
  const std::uint16_t port = (*host)->http_address().port;
  if (write(to, &port, sizeof port) != sizeof port) return 1;
  side.loop->Run();
  return 0;
}

// ---------------------------------------------------------------- clients

class Client : public net::WsHandler {
 public:
  Client(NodeContext& node, std::uint16_t port, UserId user) : user_(user) {
    net::WsConnect(node, {"127.0.0.1", port}, "/v1/connect", this, {}, 60 * kSecond,
                   [this](Result<std::unique_ptr<net::WebSocket>, net::WsConnectFailure> got) {
                     if (!got) return Fail();
                     socket_ = std::move(*got);
                     wire::ClientFrame frame;
                     frame.mutable_connect()->set_user(user_);
                     Send(frame);
                   });
  }
  void Send(const wire::ClientFrame& frame) { socket_->SendBinary(frame.SerializeAsString()); }
  void OnMessage(bool, std::string_view data) override {
    if (!frame_.ParseFromArray(data.data(), static_cast<int>(data.size()))) return Fail();
    welcome = welcome || frame_.has_welcome();
    OnFrame(frame_);
  }
  void OnClosed(std::uint16_t, std::string_view) override { Fail(); }

  bool welcome = false;
  bool lost = false;

 protected:
  virtual void OnFrame(const wire::ServerFrame& frame) = 0;
  net::WebSocket& socket() { return *socket_; }

 private:
  void Fail() { lost = true; }

  const UserId user_;
  wire::ServerFrame frame_;
  std::unique_ptr<net::WebSocket> socket_;
};

class Flood final : public Client {
 public:
  Flood(NodeContext& node, std::uint16_t port, UserId user, bool reads)
      : Client(node, port, user), reads_(reads) {}
  void Begin(std::uint32_t page) {
    question_.mutable_read()->set_from(1);
    question_.mutable_read()->set_limit(page);
    if (!reads_) socket().PauseReading();
    for (std::uint32_t i = 0; i < kAtOnce; ++i) Send(question_);
  }
  std::uint64_t pages = 0;

 private:
  void OnFrame(const wire::ServerFrame& frame) override {
    if (!frame.has_page()) return;
    ++pages;
    Send(question_);
  }
  const bool reads_;
  wire::ClientFrame question_;
};

class Sender final : public Client {
 public:
  using Client::Client;
  void SendOne(Nanos now) {
    wire::ClientFrame frame;
    wire::Submit* submit = frame.add_submits();
    submit->set_send_id(++sent);
    submit->set_friend_(HonestFriend());
    submit->set_body("hello");
    began_.push_back(now);
    Send(frame);
  }
  Seq sent = 0;
  Seq stored = 0;
  std::vector<Nanos> took;

 private:
  void OnFrame(const wire::ServerFrame& frame) override {
    const Nanos now = SystemClock().Monotonic();
    for (; stored < frame.stored(); ++stored) {
      took.push_back(now - began_.front());
      began_.pop_front();
    }
  }
  std::deque<Nanos> began_;
};

void SendFor(Side& side, Sender& sender, Nanos time) {
  const Nanos begin = SystemClock().Monotonic();
  Nanos next = begin;
  for (Nanos now = begin; now < begin + time && !sender.lost; now = SystemClock().Monotonic()) {
    if (now >= next) {
      sender.SendOne(now);
      next += 10 * kMillisecond;
    }
    side.loop->RunOnce(kMillisecond);
  }
  const Nanos limit = SystemClock().Monotonic() + 30 * kSecond;
  while (sender.stored < sender.sent && !sender.lost && SystemClock().Monotonic() < limit) {
    side.loop->RunOnce(kMillisecond);
  }
}

void Tell(const char* when, Sender& sender) {
  std::vector<Nanos> took = std::exchange(sender.took, {});
  if (took.empty()) return;
  std::sort(took.begin(), took.end());
  const auto at = [&](double share) {
    return static_cast<double>(
               took[static_cast<std::size_t>(share * static_cast<double>(took.size() - 1))]) /
           kMillisecond;
  };
  fmt::print(
      "{}: {} messages of the honest sender stored, p50 {:.1f} ms, p99 {:.1f} ms, most {:.1f} ms\n",
      when, took.size(), at(0.5), at(0.99), at(1));
}

std::string PeakMemory(pid_t pid) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return line.substr(6);
  }
  return " ?";
}

bool Drive(const Shape& shape, std::uint16_t port, pid_t cell) {
  Side side(kMemory);
  Sender sender(side.node, port, Honest());
  while (!sender.welcome && !sender.lost) side.loop->RunOnce(kMillisecond);
  SendFor(side, sender, 3 * kSecond);
  Tell("alone", sender);
  std::vector<std::unique_ptr<Flood>> floods;
  const Nanos limit = SystemClock().Monotonic() + 120 * kSecond;
  while (floods.size() < shape.clients && SystemClock().Monotonic() < limit) {
    for (int i = 0; i < 100 && floods.size() < shape.clients; ++i) {
      const auto n = static_cast<std::uint32_t>(floods.size());
      floods.push_back(std::make_unique<Flood>(side.node, port, Reader(n / kDevices), n % 2 == 0));
    }
    while (!floods.back()->welcome && !floods.back()->lost) side.loop->RunOnce(kMillisecond);
  }
  const auto connected = [&] {
    return std::count_if(floods.begin(), floods.end(), [](const auto& f) { return f->welcome; });
  };
  while (connected() < shape.clients && SystemClock().Monotonic() < limit) {
    side.loop->RunOnce(10 * kMillisecond);
  }
  fmt::print("{} clients connected\n", connected());
  for (const auto& f : floods) {
    if (f->welcome) f->Begin(shape.page);
  }
  SendFor(side, sender, shape.seconds * kSecond);
  Tell("beside them", sender);
  std::uint64_t pages = 0;
  std::uint64_t lost = 0;
  for (const auto& f : floods) {
    pages += f->pages;
    lost += f->lost ? 1 : 0;
  }
  fmt::print("{} pages read, {} of these clients lost their connection; the cell took up to{}\n",
             pages, lost, PeakMemory(cell));
  return !sender.lost && sender.stored == sender.sent;
}

int Measure(const Shape& shape) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const TempFolder folder;
  std::array<int, 2> ends{};
  if (folder.path().empty() || pipe(ends.data()) != 0) return 1;
  const pid_t cell = fork();
  if (cell == 0) _exit(ServeCell(shape, folder.path() + "/store", ends[1]));
  close(ends[1]);
  std::uint16_t port = 0;
  const bool serves = cell > 0 && read(ends[0], &port, sizeof port) == sizeof port;
  const bool good = serves && Drive(shape, port, cell);
  if (cell > 0) {
    kill(cell, SIGKILL);
    waitpid(cell, nullptr, 0);
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace baiwan::cell

int main(int argc, char** argv) {
  baiwan::cell::Shape shape;
  const auto number = [&](int i, std::uint64_t otherwise) {
    return argc > i ? std::strtoull(argv[i], nullptr, 10) : otherwise;
  };
  shape.clients = static_cast<std::uint32_t>(number(1, shape.clients));
  shape.messages = number(2, shape.messages);
  shape.seconds = static_cast<std::uint32_t>(number(3, shape.seconds));
  shape.page = static_cast<std::uint32_t>(number(4, shape.page));
  return baiwan::cell::Measure(shape);
}
