#include "monitor/collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/testing/temp_folder.h"
#include "monitor/board_feed.h"
#include "monitor/testing/record.h"
#include "net/testing/memory_transport.h"
#include "registry/client.h"
#include "registry/server.h"

namespace baiwan::monitor {
namespace {

using ::testing::HasSubstr;
using testing::Record;

constexpr Nanos kInterval = 100 * kMillisecond;

// A process as the monitor sees it: something that answers at /metrics.
class FakeProcess final : public net::HttpService {
 public:
  explicit FakeProcess(NodeContext& node) {
    auto server = net::HttpServer::Listen(node, {"127.0.0.1", 0}, *this, {});
    EXPECT_TRUE(server.ok());
    server_ = std::move(*server);
  }
  void OnRequest(net::HttpExchange& exchange) override {
    ++asked;
    if (silent) return;
    exchange.Reply(status, "text/plain", metrics);
  }
  void OnAbandoned(net::HttpExchange&) override {}
  std::uint16_t port() const { return server_->local().port; }

  std::string metrics = "baiwan_stored_total 1\n";
  int status = 200;
  bool silent = false;
  int asked = 0;

 private:
  std::unique_ptr<net::HttpServer> server_;
};

// All on one loop whose time passes only in RunUntil, so that no beat is late and nobody's answer.
class CollectorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.path = folder_ + "/series.jsonl";
    options_.interval = kInterval;
    options_.poll.timeout = 50 * kMillisecond;
  }

  FakeProcess& Add(const std::string& role, const std::string& name, CellId cell) {
    processes_.push_back(std::make_unique<FakeProcess>(world_.node));
    services_.push_back({role, name, cell, {"127.0.0.1", processes_.back()->port()}, 0, 1, {}});
    directory_.Set(services_);
    return *processes_.back();
  }
  void Start() {
    auto collector = Collector::Create(world_.node, directory_, options_);
    ASSERT_TRUE(collector.ok()) << collector.error();
    collector_ = std::move(*collector);
  }
  bool RunUntil(const std::function<bool()>& holds) { return world_.RunUntil(holds); }
  bool RunBeats(std::uint64_t more) {
    const std::uint64_t enough = collector_->beats() + more;
    return RunUntil([&] { return collector_->beats() >= enough; });
  }
  Record Read() {
    Record record;
    const auto unreadable = VisitSeries(options_.path, record);
    EXPECT_TRUE(unreadable.ok());
    EXPECT_EQ(*unreadable, 0U);
    return record;
  }

  net::MemoryWorld world_;
  const TempFolder temp_;
  const std::string folder_ = temp_.path();
  registry::StaticDirectory directory_;
  std::vector<registry::Service> services_;
  std::vector<std::unique_ptr<FakeProcess>> processes_;
  CollectorOptions options_;
  std::unique_ptr<Collector> collector_;
};

TEST_F(CollectorTest, EveryProcessIsASampleOfEveryBeat) {
  Add("gateway", "cell-0", 0).metrics = "baiwan_stored_total 17\n";
  Add("load", "drive-0", 0).metrics = "baiwan_drive_users 5\n";
  Start();
  ASSERT_TRUE(RunBeats(3));
  const Record record = Read();
  ASSERT_EQ(record.headers.size(), 1U);
  EXPECT_EQ(record.headers[0].interval_ms, 100U);
  ASSERT_EQ(record.beats.size(), 3U);
  ASSERT_EQ(record.samples.size(), 6U);
  EXPECT_EQ(record.samples[0].name, "cell-0");
  EXPECT_EQ(ValueOf(record.samples[0].values, "stored_total"), 17);
  EXPECT_EQ(record.samples[0].ms, record.samples[1].ms);
  EXPECT_EQ(record.samples[0].ms, record.beats[0].ms);
  EXPECT_EQ(record.beats[2].ms, record.beats[1].ms + 100);
  EXPECT_EQ(record.beats[2].alive, 2U);
  EXPECT_EQ(record.beats[2].expected, 2U);
  EXPECT_EQ(record.beats[2].fetched, 23U + 21U);
  EXPECT_GT(record.beats[2].fetched_per_s, 0);
}

TEST_F(CollectorTest, AProcessThatFailsIsASampleThatSaysSoAndHoldsUpNobody) {
  Add("gateway", "cell-0", 0);
  Add("gateway", "cell-1", 1).silent = true;
  Add("gateway", "cell-2", 2).metrics = "<html>\x1b[2J";
  Add("gateway", "cell-3", 3).status = 503;
  Add("gateway", "cell-4", 4).metrics = std::string((1 << 20) + 1, '#');
  services_.push_back({"gateway", "cell-5", 5, {"127.0.0.1", 1}, 0, 1, {}});
  directory_.Set(services_);
  options_.expected = 7;
  Start();
  ASSERT_TRUE(RunBeats(2));
  const Record record = Read();
  ASSERT_GE(record.samples.size(), 12U);
  const char* errors[] = {"", "too long", "line 1", "503", "more than", "nobody listens"};
  for (std::size_t i = 0; i < 12; ++i) {
    const Sample& sample = record.samples[i];
    EXPECT_THAT(sample.error, HasSubstr(errors[i % 6])) << sample.name;
    EXPECT_EQ(sample.error.empty(), sample.name == "cell-0");
  }
  EXPECT_EQ(record.beats[1].alive, 1U);
  EXPECT_EQ(record.beats[1].expected, 7U);
}

TEST_F(CollectorTest, WhoLeavesIsMissedAndWhoComesLaterIsSeen) {
  Add("gateway", "cell-0", 0);
  Start();
  ASSERT_TRUE(RunBeats(1));
  Add("gateway", "cell-1", 1);
  ASSERT_TRUE(RunBeats(2));
  EXPECT_EQ(collector_->last().alive, 2U);
  services_.erase(services_.begin());
  directory_.Set(services_);
  ASSERT_TRUE(RunBeats(2));
  EXPECT_EQ(collector_->last().alive, 1U);
  EXPECT_EQ(collector_->last().expected, 2U);
}

TEST_F(CollectorTest, TheEndOfARunIsInTheFileHoweverLongTheInterval) {
  options_.interval = 3600 * kSecond;
  FakeProcess& process = Add("gateway", "cell-0", 0);
  Start();
  ASSERT_TRUE(RunBeats(1));
  process.metrics = "baiwan_stored_total 99\n";
  bool stopped = false;
  collector_->Stop([&] { stopped = true; });
  ASSERT_TRUE(RunUntil([&] { return stopped; }));
  EXPECT_EQ(ValueOf(Read().samples.back().values, "stored_total"), 99);
}

TEST_F(CollectorTest, AFullFileIsToldAndTheMonitorGoesOn) {
  options_.max_bytes = 1000;
  Add("gateway", "cell-0", 0);
  Start();
  ASSERT_TRUE(RunBeats(12));
  EXPECT_THAT(collector_->trouble(), HasSubstr("limit of 1000 bytes"));
  EXPECT_LE(std::filesystem::file_size(options_.path), 1000U);
}

TEST_F(CollectorTest, AnotherStartGoesOnWithTheFile) {
  Add("gateway", "cell-0", 0);
  Start();
  ASSERT_TRUE(RunBeats(1));
  collector_.reset();
  std::ofstream(options_.path, std::ios::app) << "{\"ms\":17,\"proc";  // killed while writing
  Start();
  ASSERT_TRUE(RunBeats(1));
  Record record;
  const auto unreadable = VisitSeries(options_.path, record);
  ASSERT_TRUE(unreadable.ok());
  EXPECT_EQ(*unreadable, 1U);
  EXPECT_EQ(record.headers.size(), 2U);
  EXPECT_EQ(record.beats.size(), 2U);
}

// The whole way: processes found through a real registry, which is one of them.
TEST_F(CollectorTest, TheBoardFindsEverybodyThroughTheRegistry) {
  registry::RegistryServer registry(
      world_.node, {}, placement::PlacementTable(1), [](net::HttpExchange& exchange) {
        if (exchange.request().path != "/metrics") return false;
        exchange.Reply(200, "text/plain", "baiwan_registry_services 1\n");
        return true;
      });
  auto http = net::HttpServer::Listen(world_.node, {"127.0.0.1", 0}, registry, {});
  ASSERT_TRUE(http.ok());
  FakeProcess& load = Add("load", "drive-0", 0);
  load.metrics =
      "baiwan_drive_users 50\nbaiwan_drive_users_finished_total 20\n"
      "baiwan_drive_users_started_total 30\nbaiwan_process_uptime_seconds 4\n";
  registry::ClientOptions client_options;
  client_options.registry = (*http)->local();
  registry::RegistryClient client(world_.node, client_options);
  client.Announce(services_[0]);
  BoardFeedOptions options;
  options.interval = kInterval;
  options.poll.registry = (*http)->local();
  BoardFeed feed(world_.node, client, options);
  ASSERT_TRUE(RunUntil([&] { return feed.state().alive == 2; }));
  EXPECT_EQ(feed.state().finished, 20U);
  ASSERT_EQ(feed.state().cells.size(), 1U);
  EXPECT_EQ(feed.state().cells[0].where, services_[0].endpoint.ToString());
  load.metrics = "baiwan_drive_users 50\nbaiwan_drive_users_finished_total 50\n";
  ASSERT_TRUE(RunUntil([&] { return feed.state().done(); }));
}

}  // namespace
}  // namespace baiwan::monitor
