// The monitor and the board as programs, against a registry in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/testing/temp_folder.h"
#include "monitor/series.h"
#include "net/testing/real_node.h"
#include "registry/server.h"
#include "supervise/process.h"

namespace baiwan::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class MonitorProgram : public ::testing::Test, protected net::testing::RealNode {
 protected:
  void SetUp() override {
    registry_ = std::make_unique<registry::RegistryServer>(
        node_, registry::ServerOptions{}, placement::PlacementTable(1),
        [](net::HttpExchange& exchange) {
          if (exchange.request().path != "/metrics") return false;
          exchange.Reply(200, "text/plain", "baiwan_registry_services 1\n");
          return true;
        });
    auto http = net::HttpServer::Listen(node_, {"127.0.0.1", 0}, *registry_, {});
    ASSERT_TRUE(http.ok());
    http_ = std::move(*http);
  }

  std::unique_ptr<supervise::Process> Start(std::vector<std::string> arguments, bool ready) {
    supervise::ChildSpec spec;
    spec.name = arguments.front();
    spec.argv = {std::filesystem::read_symlink("/proc/self/exe").parent_path() / "baiwan"};
    spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
    spec.log_file = folder_ + "/log";
    spec.notifies_ready = ready;
    auto process = supervise::Process::Start(spec);
    EXPECT_TRUE(process.ok()) << process.error();
    return std::move(*process);
  }
  int ExitCode(supervise::Process& process) {
    std::optional<supervise::Exit> exit;
    if (!RunUntil([&] { return (exit = process.Reap()).has_value(); })) return -1;
    return exit->by_signal ? -exit->code : exit->code;
  }
  std::string Output() {
    std::stringstream text;
    text << std::ifstream(folder_ + "/log").rdbuf();
    return text.str();
  }
  std::string Registry() const { return http_->local().ToString(); }
  bool HasMonitor() const { return !registry_->registry().leases().empty(); }

  std::unique_ptr<registry::RegistryServer> registry_;
  std::unique_ptr<net::HttpServer> http_;
  const TempFolder temp_;
  const std::string folder_ = temp_.path();
};

TEST_F(MonitorProgram, RegistersRecordsAnswersAndLeavesInOrder) {
  const std::string series = folder_ + "/series.jsonl";
  const auto process = Start({"monitor", "--registry", Registry(), "--out", series, "--interval",
                              "100ms", "--host", "control"},
                             true);
  std::optional<std::string> ready;
  ASSERT_TRUE(RunUntil([&] { return (ready = process->ReadReady()).has_value(); })) << Output();
  const auto address = ParseEndpoint(*ready);
  ASSERT_TRUE(address.ok()) << *ready;
  ASSERT_TRUE(RunUntil([&] { return HasMonitor(); }));
  EXPECT_EQ(registry_->registry().List().at(0).role, "monitor");

  const auto client = net::HttpClient::Create(node_, *address);
  std::string metrics;
  ASSERT_TRUE(RunUntil([&] {
    if (!client->busy()) {
      client->Request("GET", "/metrics", {}, {}, kSecond,
                      [&](const Result<net::HttpResponse, NetError>& response) {
                        if (response) metrics = response->body;
                      });
    }
    return metrics.find("baiwan_monitor_services_alive 2\n") != std::string::npos;
  })) << metrics;
  EXPECT_THAT(metrics, HasSubstr("baiwan_monitor_services_expected 2\n"));
  EXPECT_THAT(metrics, HasSubstr("baiwan_host_machine{host=\"control\"} "));

  process->Signal(SIGTERM);
  EXPECT_EQ(ExitCode(*process), 0) << Output();
  EXPECT_FALSE(HasMonitor());
  struct : monitor::SeriesVisitor {
    void OnBeat(const monitor::Beat& beat) override { last = beat; }
    void OnSample(const monitor::Sample& sample) override { names += sample.name + " "; }
    monitor::Beat last;
    std::string names;
  } record;
  const auto unreadable = monitor::VisitSeries(series, record);
  ASSERT_TRUE(unreadable.ok()) << unreadable.error();
  EXPECT_EQ(*unreadable, 0U);
  EXPECT_EQ(record.last.alive, 2U);
  EXPECT_THAT(record.names, HasSubstr("monitor registry"));
}

TEST_F(MonitorProgram, TheBoardIsPlainLinesInAFile) {
  const auto process = Start({"top", "--registry", Registry(), "--once"}, false);
  EXPECT_EQ(ExitCode(*process), 0);
  EXPECT_THAT(Output(), StartsWith("sum  no load client yet\n"));
  EXPECT_THAT(Output(), HasSubstr("services   1 of 1 alive\n"));
}

TEST_F(MonitorProgram, WhatCannotWorkEndsWithASentence) {
  struct Case {
    std::vector<std::string> arguments;
    const char* says;
  };
  const Case cases[] = {
      {{"top", "--registry", "127.0.0.1:1", "--once"}, "is the registry running there?"},
      {{"top", "--registry", "nowhere"}, "--registry"},
      {{"top"}, "--registry is required"},
      {{"monitor", "--registry", Registry(), "--out", "/no/such/folder/file"}, "--out"},
      {{"monitor", "--registry", Registry(), "--listen", "10.1.2.3:80"}, "--insecure-no-auth"},
      {{"monitor", "--registry", Registry(), "--out", folder_ + "/x", "--listen", Registry()},
       "cannot listen"},
      {{"monitor", "--registry", Registry(), "--host", "a b"}, "--host"},
      {{"report", folder_}, "result.json"},
  };
  for (const Case& c : cases) {
    std::filesystem::remove(folder_ + "/log");
    const auto process = Start(c.arguments, false);
    EXPECT_EQ(ExitCode(*process), 2) << c.says;
    EXPECT_THAT(Output(), StartsWith("baiwan: ")) << c.says;
    EXPECT_THAT(Output(), HasSubstr(c.says));
  }
}

}  // namespace
}  // namespace baiwan::cli
