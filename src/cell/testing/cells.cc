#include "cell/testing/cells.h"

#include <algorithm>

namespace baiwan::cell {
namespace {

constexpr Nanos kAnswer = 10 * kSecond;

}  // namespace

Cells::Cells(net::Backend backend, const CellsOptions& options)
    : options_(options),
      budget_(options.budget),
      table_(options.cells),
      layout_(options.cells, placement::kDefaultPartitions) {
  net::LoopOptions loop_options;
  loop_options.backend = backend;
  auto loop = net::RealLoop::Create(loop_options);
  if (!loop) {
    error_ = loop.error();
    return;
  }
  loop_ = std::move(*loop);
  node_ = std::make_unique<NodeContext>(
      NodeContext{*loop_, loop_->transport(), loop_->clock(), rng_, budget_, fatal_, NoLog()});
  registry_ = std::make_unique<registry::RegistryServer>(*node_, registry::ServerOptions{}, table_);
  auto http = net::HttpServer::Listen(*node_, {"127.0.0.1", 0}, *registry_, net::HttpLimits{});
  if (!http) {
    error_ = Message(http.error());
    return;
  }
  registry_http_ = std::move(*http);
}

Cells::~Cells() {
  for (auto& [cell, parts] : cells_) {
    parts.host.reset();
    parts.relay.reset();
    parts.logic.reset();
  }
  registry_http_.reset();
  registry_.reset();                        // it would answer those who were connected
  if (loop_ != nullptr) loop_->RunOnce(0);  // what they have posted
}

void Cells::Befriend(UserId a, UserId b) {
  friends_[a].push_back(b);
  friends_[b].push_back(a);
}

UserId Cells::UserOf(CellId cell, std::uint64_t index) const { return layout_.UserAt(cell, index); }

void Cells::Import(CellId cell) {
  std::vector<std::pair<PartitionId, wire::UserRecord>> users;
  for (auto& [user, friends] : friends_) {
    if (table_.CellOf(user) != cell) continue;
    std::sort(friends.begin(), friends.end());
    wire::UserRecord record;
    record.user = user;
    for (const UserId f : friends) record.friends.push_back({f, 0, 0, 0, 0});
    users.emplace_back(table_.PartitionOf(user), record);
  }
  ASSERT_EQ(cells_[cell].store->ImportNow(users), store::StoreError{});
}

void Cells::OpenStore(CellId cell) {
  Cell& c = cells_[cell];
  auto kv = store::OpenMemoryKv(c.disk, options_.kv, loop_.get());
  ASSERT_TRUE(kv.ok());
  c.kv = std::move(*kv);
  store::RecoveryReport report;
  store::StoreOptions store_options;
  store_options.budget = &budget_;
  auto store = store::Store::Open(*c.kv, 0, store_options, &report);
  ASSERT_TRUE(store.ok());
  c.store = std::move(*store);
  if (!std::exchange(c.imported, true)) Import(cell);
}

// `role`: empty for all of them.
std::unique_ptr<CellHost> Cells::Host(CellId cell, const std::string& role, const Endpoint& at) {
  HostOptions o;
  o.name = (role.empty() ? "cell" : role) + "-" + std::to_string(cell);
  o.cell = cell;
  o.gateway = role.empty() || role == "gateway";
  o.logic = role.empty() || role == "logic";
  o.relay = role.empty() || role == "relay";
  o.http = at;
  o.secret = "a secret of the test's own";
  o.registry = registry();
  o.logic_options = options_.logic;
  o.claim.life = options_.life;
  o.gateway_options = options_.gateway;
  o.http_limits = options_.http;
  o.link_limits = options_.link;
  auto host = CellHost::Create(*node_, o, table_, o.logic ? cells_[cell].store.get() : nullptr);
  EXPECT_TRUE(host.ok()) << host.error();
  return host ? std::move(*host) : nullptr;
}

void Cells::Start(CellId cell, const Endpoint& at) {
  if (options_.split) {
    StartLogic(cell);
    cells_[cell].relay = Host(cell, "relay", {});
  } else {
    OpenStore(cell);
  }
  cells_[cell].host = Host(cell, options_.split ? "gateway" : "", at);
}

void Cells::Stop(CellId cell) {
  cells_[cell].host.reset();
  cells_[cell].relay.reset();
  StopLogic(cell);
}

void Cells::StartLogic(CellId cell) {
  OpenStore(cell);
  cells_[cell].logic = Host(cell, "logic", {});
}

void Cells::StopLogic(CellId cell) {
  Cell& c = cells_[cell];
  c.logic.reset();
  c.store.reset();
  c.kv.reset();
}

::testing::AssertionResult Cells::RunUntil(const std::function<bool()>& done, Nanos limit) {
  const Nanos deadline = loop_->clock().Monotonic() + limit;
  while (!done()) {
    if (loop_->clock().Monotonic() > deadline) return ::testing::AssertionFailure() << "too late";
    loop_->RunOnce(10 * kMillisecond);
  }
  return ::testing::AssertionSuccess();
}

void Cells::RunFor(Nanos time) {
  const Nanos deadline = loop_->clock().Monotonic() + time;
  while (loop_->clock().Monotonic() < deadline) loop_->RunOnce(kMillisecond);
  // On a busy machine all of the time may have gone by without a turn.
  for (int turn = 0; turn < 10; ++turn) loop_->RunOnce(0);
}

net::HttpResponse Cells::Ask(const Endpoint& to, std::string_view method, std::string_view target,
                             std::string_view body, const net::Headers& headers) {
  auto client = net::HttpClient::Create(*node_, to);
  std::optional<Result<net::HttpResponse, NetError>> answer;
  client->Request(method, target, body, headers, kAnswer,
                  [&](Result<net::HttpResponse, NetError> got) { answer = std::move(got); });
  EXPECT_TRUE(RunUntil([&] { return answer.has_value(); }, 2 * kAnswer)) << target;
  if (!answer || !answer->ok()) {
    ADD_FAILURE() << method << " " << target.substr(0, 200) << ": "
                  << (answer ? Message(answer->error()) : "no answer");
    return {};
  }
  return std::move(**answer);
}

std::string Cells::Raw(const Endpoint& to, std::string_view bytes,
                       const std::function<bool(const std::string&)>& enough) {
  net::RawSocket socket(to);
  EXPECT_TRUE(socket.connected);
  std::string received;
  std::size_t sent = 0;
  EXPECT_TRUE(RunUntil([&] {
    if (sent < bytes.size()) {
      const ssize_t n = socket.Send(bytes.substr(sent), MSG_DONTWAIT);
      if (n > 0) sent += static_cast<std::size_t>(n);
    }
    received += socket.Read();
    return socket.end.has_value() || (enough && enough(received));
  })) << received;
  return received;
}

// ---------------------------------------------------------------- devices

Device::Device(Cells& cells, const Endpoint& gateway, std::string_view path,
               const net::WsLimits& limits) {
  bool done = false;
  net::WsConnect(cells.node(), gateway, path, this, limits, kAnswer,
                 [&](Result<std::unique_ptr<net::WebSocket>, net::WsConnectFailure> result) {
                   done = true;
                   if (result) {
                     socket_ = std::move(*result);
                   } else {
                     failure = result.error();
                   }
                 });
  EXPECT_TRUE(cells.RunUntil([&] { return done; }));
}

std::unique_ptr<Device> Device::Connect(Cells& cells, UserId user, bool receive, Seq after,
                                        std::string_view device) {
  auto made = std::make_unique<Device>(cells, cells.gateway(0));
  if (!made->open()) return made;
  wire::ClientFrame frame;
  frame.mutable_connect()->set_user(user);
  frame.mutable_connect()->set_receive(receive);
  frame.mutable_connect()->set_after(after);
  frame.mutable_connect()->set_device(device.data(), device.size());
  made->Send(frame);
  EXPECT_TRUE(cells.RunUntil([&] { return made->welcome || made->closed_; }));
  return made;
}

void Device::Send(const wire::ClientFrame& frame) {
  socket_->SendBinary(frame.SerializeAsString());
}

wire::ClientFrame Device::Submits(
    const std::vector<std::tuple<Seq, UserId, std::string>>& messages) {
  wire::ClientFrame frame;
  for (const auto& [send_id, to, body] : messages) {
    wire::Submit* s = frame.add_submits();
    s->set_send_id(send_id);
    s->set_friend_(to);
    s->set_body(body);
  }
  return frame;
}

void Device::OnMessage(bool is_text, std::string_view data) {
  if (is_text) {
    texts.emplace_back(data);
    return;
  }
  wire::ServerFrame frame;
  ASSERT_TRUE(frame.ParseFromArray(data.data(), static_cast<int>(data.size())));
  if (frame.has_welcome()) {
    welcome = frame.welcome();
    stored = welcome->counters().send_id();
    delivered = welcome->counters().send_ack_id();
  }
  stored = std::max<Seq>(stored, frame.stored());
  delivered = std::max<Seq>(delivered, frame.delivered());
  for (const auto& m : frame.pushes()) pushes.push_back(m);
  for (const auto& r : frame.refusals()) refusals.push_back(r);
  frames.push_back(std::move(frame));
}

void Device::OnClosed(std::uint16_t code, std::string_view reason) {
  closed_ = code;
  close_reason = reason;
}

// ---------------------------------------------------------------- the fixture

void CellTest::SetUp() {
  net::LoopOptions options;
  options.backend = GetParam();
  const auto probe = net::RealLoop::Create(options);
  if (!probe && GetParam() == net::Backend::kIoUring) GTEST_SKIP() << probe.error();
}

void CellTest::Start(const CellsOptions& options,
                     const std::vector<std::pair<UserId, UserId>>& friends) {
  cells = std::make_unique<Cells>(GetParam(), options);
  ASSERT_EQ(cells->error(), "");
  for (const auto& [a, b] : friends) cells->Befriend(a, b);
  for (CellId cell = 0; cell < options.cells; ++cell) cells->Start(cell);
}

nlohmann::json CellTest::Json(const net::HttpResponse& response) {
  EXPECT_EQ(response.Header("Content-Type"), "application/json");
  auto json = nlohmann::json::parse(response.body, nullptr, false);
  EXPECT_FALSE(json.is_discarded()) << response.body;
  return json;
}

nlohmann::json CellTest::User(UserId user) {
  const auto response = cells->Get("/api/user/" + std::to_string(user));
  EXPECT_EQ(response.status, 200) << response.body;
  return Json(response);
}

void CellTest::ExpectError(const net::HttpResponse& response, int status, std::string_view code) {
  EXPECT_EQ(response.status, status) << response.body;
  const nlohmann::json json = Json(response);
  ASSERT_TRUE(json.is_object()) << response.body;
  EXPECT_EQ(json.value("error", ""), code);
  EXPECT_FALSE(json.value("message", "").empty());
  const bool again = status == 429 || status == 503;
  EXPECT_EQ(!response.Header("Retry-After").empty(), again) << status;
}

void CellTest::Say(UserId user, Seq send_id, UserId to, std::string_view body) {
  const nlohmann::json message = {{"send_id", send_id}, {"friend", to}, {"body", body}};
  const auto response = cells->Ask(
      cells->gateway(0), "POST", "/v1/users/" + std::to_string(user) + "/messages", message.dump());
  ASSERT_EQ(response.status, 201) << response.body;
}

}  // namespace baiwan::cell
