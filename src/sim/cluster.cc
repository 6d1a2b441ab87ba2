#include "sim/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "registry/server.h"

namespace baiwan::sim {

namespace {

constexpr std::uint16_t kHttpPort = 9500;
constexpr std::uint16_t kLogicPort = 9700;
constexpr std::uint16_t kRelayPort = 11000;
constexpr std::uint16_t kOpsPort = 9100;
constexpr std::uint16_t kRegistryPort = 8089;
constexpr Nanos kLook = 100 * kMillisecond;  // between two looks whether all is at rest
constexpr Nanos kQuiet = 60 * kSecond;       // for what is stored to reach its friends
constexpr std::uint32_t kMaxBody = 2000;     // bytes
constexpr std::uint64_t kDevice = 600;       // bytes that one more of them may take, about
constexpr std::uint64_t kPurpose = 0x636C'7573'7465'7200;

void SeededNonce(NodeContext& node, unsigned char* nonce) {
  for (int i = 0; i < 16; ++i) nonce[i] = static_cast<unsigned char>(node.rng.Next());
}

class RegistryProgram final : public Program {
 public:
  RegistryProgram(Node& node, const placement::PlacementTable& table)
      : server_(node.context(), {}, table, [](net::HttpExchange&) { return false; }) {
    auto http = net::HttpServer::Listen(node.context(), {node.ip(), kRegistryPort}, server_, {});
    if (http.ok()) {
      http_ = std::move(*http);
    } else {
      node.context().fatal.Die(Message(http.error()));
    }
  }

 private:
  registry::RegistryServer server_;
  std::unique_ptr<net::HttpServer> http_;
};

class HostProgram final : public Program {
 public:
  HostProgram(Node& node, cell::HostOptions host, const ClusterOptions& options,
              const Workload& workload, Mishaps& mishaps, Coverage& coverage)
      : node_(node), coverage_(coverage) {
    Boot(node, std::move(host), options, workload, mishaps);
  }
  void Stop(std::function<void()> done) override {
    if (host_ == nullptr) return done();
    host_->Stop(std::move(done));
  }
  ~HostProgram() override {
    if (host_ == nullptr || host_->logic() == nullptr) return;
    coverage_.Add(host_->logic()->counters(), node_.context().budget);
  }

 private:
  void Boot(Node& node, cell::HostOptions host, const ClusterOptions& options,
            const Workload& workload, Mishaps& mishaps) {
    if (host.logic) {
      store::RecoveryReport report;
      store::StoreOptions store_options = options.store;
      store_options.budget = &node.context().budget;
      auto store = store::Store::Open(node.kv(), 0, store_options, &report);
      if (!store.ok()) {
        mishaps.Refused(host.cell, store.error());
        return node.context().fatal.Die(Message(store.error()));
      }
      mishaps.Opened(host.cell, report);
      store_ = std::move(*store);
      if (node.lives() == 1) Import(node, host.cell, workload);
    }
    host.http.host = host.relay_listen.host = host.logic_listen.host = host.ops.host = node.ip();
    auto made = cell::CellHost::Create(node.context(), host, workload.table(), store_.get());
    if (!made.ok()) return node.context().fatal.Die(made.error());
    host_ = std::move(*made);
  }
  void Import(Node& node, CellId cell, const Workload& workload) {
    std::vector<std::pair<PartitionId, wire::UserRecord>> users;
    for (const UserId user : workload.UsersOf(cell)) {
      users.emplace_back(workload.table().PartitionOf(user), workload.NewRecord(user));
    }
    if (store_->ImportNow(users) != store::StoreError{}) node.context().fatal.Die("no import");
  }

  Node& node_;
  Coverage& coverage_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<cell::CellHost> host_;
};

}  // namespace

void Coverage::Add(const cell::LogicCounters& c, const Budget& budget) {
  Coverage one;
  one.logic = c;
  one.lives = 1;
  one.peak_users_bytes = budget.used(Account::kUsers);
  Add(one);
}

void Coverage::Add(const Coverage& other) {
  const cell::LogicCounters& c = other.logic;
  logic.submits += c.submits;
  logic.repeats += c.repeats;
  logic.stored += c.stored;
  logic.forwarded += c.forwarded;
  logic.resent += c.resent;
  logic.delivered += c.delivered;
  logic.duplicates += c.duplicates;
  logic.gaps += c.gaps;
  logic.offers += c.offers;
  logic.unknown_users += c.unknown_users;
  logic.diverged += c.diverged;
  logic.rewinds += c.rewinds;
  logic.returned += c.returned;
  logic.lost += c.lost;
  logic.pushed += c.pushed;
  logic.loads += c.loads;
  logic.evictions += c.evictions;
  logic.snapshots += c.snapshots;
  logic.commits += c.commits;
  for (std::size_t i = 0; i < c.refused.size(); ++i) logic.refused[i] += c.refused[i];
  peak_users_bytes = std::max(peak_users_bytes, other.peak_users_bytes);
  backlog += other.backlog;
  full += other.full;
  mishaps.put_backs += other.mishaps.put_backs;
  mishaps.flips += other.mishaps.flips;
  mishaps.refused += other.mishaps.refused;
  mishaps.losses += other.mishaps.losses;
  mishaps.quarantined += other.mishaps.quarantined;
  lives += other.lives;
}

ClusterOptions ClusterOptions::FromSeed(std::uint64_t seed) {
  Rng rng(Mix(seed, kPurpose));
  ClusterOptions o;
  o.workload.cells = static_cast<std::uint32_t>(2 + rng.Below(2));
  o.workload.users_per_cell = static_cast<std::uint32_t>(1 + rng.Below(4));
  o.workload.messages = static_cast<std::uint32_t>(10 + rng.Below(40));
  o.workload.max_body = kMaxBody;
  o.chaos = ChaosOptions::Swarm(seed);
  o.layout = rng.Chance(0.5) ? ClusterLayout::kCell : ClusterLayout::kRole;
  o.clients_leave = rng.Chance(0.5);
  o.devices = rng.Chance(0.3) ? 2 : 1;
  o.trouble = Between(rng, kSecond, 6 * kSecond);
  o.links.heartbeat = kSecond;
  o.logic.disk_look = 50 * kMillisecond;
  o.logic.mailbox.max_body = kMaxBody;
  o.logic.audit_interval = Between(rng, 2 * kSecond, 30 * kSecond);
  // Room for every user, but not with ease: whoever is away is evicted.
  if (rng.Chance(0.5)) {
    o.logic_budget =
        kLinkRoom + o.workload.users_per_cell * (500 + rng.Below(1500) + kDevice * (o.devices - 1));
  }
  if (rng.Chance(0.6)) {  // everything small, so that every limit is met
    o.store.block_bytes = 512;
    o.store.checkpoint_bytes = 1024 + rng.Below(16 << 10);
    o.store.recent_bytes = rng.Below(16 << 10);
    o.store.max_chain_steps = static_cast<std::uint32_t>(1 + rng.Below(8));
    o.logic.mailbox.window_messages = static_cast<std::uint32_t>(4 + rng.Below(30));
    o.logic.mailbox.max_unacked = static_cast<std::uint32_t>(8 + rng.Below(30));
    o.logic.path_credit = 512 + rng.Below(8 << 10);
    o.logic.snapshots_per_commit = static_cast<std::uint32_t>(1 + rng.Below(3));
    o.logic.max_batch_messages = static_cast<std::uint32_t>(2 + rng.Below(30));
    o.logic.max_loads = static_cast<std::uint32_t>(1 + rng.Below(3));
    o.world.node.network.window = 4096 + rng.Below(32 << 10);
    o.world.node.network.max_chunk = 1 + rng.Below(4096);
  }
  return o;
}

Cluster::Cluster(std::uint64_t seed, const ClusterOptions& options)
    : options_(options),
      workload_(seed, options.workload),
      stage_{.workload = workload_,
             .max_tick = options.max_tick,
             .comes_back = options.mishaps.put_backs > 0 && options.mishaps.flips == 0},
      world_(seed, options.world),
      mishaps_(world_, stage_, options.mishaps),
      chaos_([this]() -> Chaos {
        AddRegistry();
        for (CellId cell = 0; cell < options_.workload.cells; ++cell) AddCell(cell);
        for (CellId cell = 0; cell < options_.workload.cells; ++cell) AddClients(cell);
        return Chaos(world_, options_.chaos, nodes_);
      }()) {}

Cluster::~Cluster() = default;

void Cluster::AddRegistry() {
  nodes_.push_back(&world_.AddNode("registry", [this](Node& node) {
    return std::make_unique<RegistryProgram>(node, workload_.table());
  }));
}

Endpoint Cluster::Registry() const { return {nodes_[0]->ip(), kRegistryPort}; }

cell::HostOptions Cluster::HostOf(CellId cell) const {
  cell::HostOptions host;
  host.name = fmt::format("cell{}", cell);
  host.cell = cell;
  host.http.port = kHttpPort;
  host.logic_listen.port = kLogicPort;
  host.relay_listen.port = kRelayPort;
  host.ops.port = kOpsPort;
  host.secret = "a secret of the simulated deployment";
  host.registry = Registry();
  host.logic_options = options_.logic;
  host.http_limits.websocket.heartbeat = 3 * kSecond;
  host.link_limits = options_.links;
  host.link_limits.nonce = SeededNonce;
  return host;
}

void Cluster::AddCell(CellId cell) {
  cell::HostOptions host = HostOf(cell);
  if (options_.layout == ClusterLayout::kCell) {
    AddHost(host);
    return;
  }
  for (const std::string role : {"gateway", "logic", "relay"}) {
    host.name = fmt::format("{}{}", role, cell);
    host.gateway = role == "gateway";
    host.logic = role == "logic";
    host.relay = role == "relay";
    AddHost(host);
  }
}

void Cluster::AddHost(const cell::HostOptions& host) {
  NodeOptions node_options = options_.world.node;
  if (host.logic) {
    const std::uint64_t budget = host.gateway ? options_.cell_budget : options_.logic_budget;
    if (budget > 0) node_options.budget = budget;
  }
  Node& node = world_.AddNode(host.name, node_options, [this, host](Node& n) {
    return std::make_unique<HostProgram>(n, host, options_, workload_, mishaps_, *coverage_);
  });
  nodes_.push_back(&node);
  if (host.logic) stores_.push_back(&node);
  if (host.gateway) gateways_.push_back(&node);
  if (host.relay) relays_.push_back(&node);
}

void Cluster::AddClients(CellId cell) {
  const Endpoint gateway = GatewayOf(cell);
  nodes_.push_back(&world_.AddNode(fmt::format("clients{}", cell), [this, cell, gateway](Node& n) {
    return std::make_unique<PlayerProgram>(n, stage_, workload_.UsersOf(cell), gateway,
                                           options_.devices);
  }));
}

Endpoint Cluster::GatewayOf(CellId cell) const { return {gateways_[cell]->ip(), kHttpPort}; }

void Cluster::LoseData(CellId cell, const SimDisk::Contents& older) {
  world_.Crash(*stores_[cell]);
  stores_[cell]->disk().Replace(older);
}

void Cluster::PowerOff() {
  for (Node* node : nodes_) {
    node->OnDeath(nullptr);
    node->Crash(CrashMode::kPower);
  }
  coverage_->mishaps = mishaps_.counts();
}

// ---------------------------------------------------------------------------------------- phases

std::string Cluster::Run() {
  std::string wrong = Trouble();
  if (wrong.empty() && options_.clients_leave) wrong = WithoutClients();
  if (wrong.empty()) wrong = Finish();
  return wrong.empty() ? wrong : Explain(wrong);
}

std::string Cluster::Complaint() const {
  if (!mishaps_.wrong().empty()) return mishaps_.wrong();
  for (const auto& [user, book] : stage_.notebooks) {
    if (!book.wrong.empty()) return book.wrong;
  }
  return {};
}

void Cluster::CutPaths() {
  for (const Node* a : relays_) {
    for (const Node* b : relays_) {
      if (a != b) world_.network().Block(a->id(), b->id());
    }
  }
}

void Cluster::MendPaths() {
  coverage_->backlog += Undelivered();
  for (const Node* a : relays_) {
    for (const Node* b : relays_) world_.network().Heal(a->id(), b->id());
  }
}

std::uint64_t Cluster::Undelivered() const {
  std::uint64_t stored = 0;
  std::uint64_t delivered = 0;
  for (const auto& [user, book] : stage_.notebooks) {
    for (Seq n = 1; n <= book.send_id; ++n) stored += workload_.At(user, n).is_void ? 0 : 1;
    delivered += book.receive_id;
  }
  return stored > delivered ? stored - delivered : 0;
}

std::string Cluster::Trouble() {
  chaos_.Start();
  mishaps_.Plan(stores_, options_.trouble);
  if (options_.cut > 0) {
    CutPaths();
    world_.At(options_.cut, [this] { MendPaths(); });
  }
  const Nanos end = world_.now() + options_.trouble;
  while (world_.now() < end) {
    if (world_.RunFor(kLook) == Ran::kEvents) return "too many events";
    if (std::string wrong = Complaint(); !wrong.empty()) return wrong;
    Look();
  }
  chaos_.Stop();
  return {};
}

Result<Disks, std::string> Cluster::Read() const {
  std::vector<SimDisk::Contents> contents;
  for (const Node* node : stores_) {
    contents.push_back(node->disk().contents());
    mishaps_.PutRight(static_cast<CellId>(contents.size() - 1), &contents.back());
  }
  return ReadDisks(workload_, contents, options_.store, stage_.hit);
}

std::string Cluster::Settle(Nanos patience, Disks* disks) {
  const Nanos end = world_.now() + patience;
  for (;;) {
    auto read = Read();
    if (!read.ok()) return read.error();
    *disks = std::move(*read);
    if (std::string bad = CheckBoxes(stage_, *disks); !bad.empty()) return bad;
    std::string wrong = CheckDelivered(stage_, *disks);
    if (wrong.empty() || world_.now() >= end) return wrong;
    if (world_.RunFor(kSecond) == Ran::kEvents) return "too many events";
    Look();
  }
}

std::string Cluster::WithoutClients() {
  stage_.away = true;
  if (world_.RunFor(kSecond) == Ran::kEvents) return "too many events";
  Disks disks;
  const std::string wrong = Settle(kQuiet, &disks);
  stage_.away = false;
  return wrong.empty() ? wrong : "without the clients' help: " + wrong;
}

bool Cluster::AllTold() const {
  if (stage_.notebooks.size() != workload_.users().size()) return false;
  for (const auto& [user, book] : stage_.notebooks) {
    if (!stage_.MustFinish(user)) continue;
    if (book.losses != stage_.LossesOf(user)) return false;
    if (book.send_id < workload_.messages() || book.send_ack_id < workload_.messages()) {
      return false;
    }
    if (!stage_.MustRead(user)) continue;
    for (const Seq place : book.read_up_to) {
      if (place < workload_.Inbound(user)) return false;
    }
  }
  return true;
}

std::string Cluster::Finish() {
  const Nanos end = world_.now() + options_.patience;
  while (!AllTold() && world_.now() < end) {
    if (world_.RunFor(kLook) == Ran::kEvents) return "too many events";
    if (std::string wrong = Complaint(); !wrong.empty()) return wrong;
    Look();
  }
  // Whoever writes to a user who is hit is not waited for, and may be in the middle of it.
  stage_.may_send = stage_.hit.empty();
  Disks disks;
  std::string wrong = Settle(stage_.hit.empty() ? 0 : kQuiet, &disks);
  if (wrong.empty()) wrong = Complaint();
  if (wrong.empty()) wrong = CheckFinished(stage_, disks);
  return wrong;
}

void Cluster::Look() {
  for (Node* node : stores_) {
    if (node->up() && node->context().budget.full()) ++coverage_->full;
  }
}

std::string Cluster::Explain(const std::string& wrong) {
  return fmt::format(
      "{}\n{} cells, {} layout, {} faults, clients {}; to see it again: "
      "BAIWAN_SIM_SEED={}\n{}",
      wrong, options_.workload.cells, options_.layout == ClusterLayout::kCell ? "cell" : "role",
      chaos_.faults(), options_.clients_leave ? "leave" : "stay", world_.seed(), world_.Describe());
}

}  // namespace baiwan::sim
