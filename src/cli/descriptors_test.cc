// Descriptors: how they are shared out, and that clients who take all of theirs leave a store its
// own.
#include "cli/descriptors.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cli/config.h"
#include "cli/testing/lone_cell.h"
#include "cli/testing/piped_program.h"
#include "cli/testing/program.h"
#include "cli/testing/raw_client.h"
#include "net/sockets.h"

namespace baiwan::cli {
namespace {

constexpr Nanos kSoon = 20 * kSecond;

Config With(const std::vector<std::string>& sets) {
  return *LoadConfig(Schema(), {.file = "", .sets = sets, .environment = {}});
}

// What all shares together come to.
std::uint64_t Sum(const DescriptorShares& s, std::uint64_t cells, std::uint64_t listeners,
                  std::uint64_t loops) {
  return s.program + s.stores * (s.tables + 40) + loops * s.lingering +
         cells * (s.dialed + listeners * s.links + net::HttpServer::kReserve + s.clients);
}

TEST(DescriptorsTest, OfAMachineOf20000OneCellHasAllThatItWants) {
  const auto s = ShareDescriptors(With({}), 20'000);
  ASSERT_TRUE(s.ok()) << s.error();
  EXPECT_TRUE(s->fits());
  EXPECT_EQ(s->clients, 16'384u);
  EXPECT_EQ(s->tables, 256u);
  EXPECT_EQ(s->handshakes, 1024u);
  EXPECT_LE(Sum(*s, 1, 1, 1), 20'000u);
}

TEST(DescriptorsTest, ClientsHaveWhatStoresAndLinksLeave) {
  const struct {
    std::vector<std::string> sets;
    std::uint64_t cells, listeners, loops, limit;
  } cases[] = {
      {{}, 1, 1, 1, 400},
      {{"cell.cells=2", "cell.count=2"}, 2, 1, 1, 20'000},
      {{"cell.cells=2", "cell.count=2", "process.loops=2"}, 2, 1, 2, 20'000},
      {{"cell.cells=40", "cell.count=40"}, 40, 1, 1, 20'000},
      {{"cell.cells=40", "cell.roles=gateway,logic"}, 1, 1, 1, 1024},
      {{"cell.cells=8", "cell.count=3", "cell.roles=logic", "process.loops=2"}, 3, 1, 2, 1024},
  };
  for (const auto& c : cases) {
    const auto s = ShareDescriptors(With(c.sets), c.limit);
    ASSERT_TRUE(s.ok()) << s.error();
    EXPECT_LE(Sum(*s, c.cells, c.listeners, c.loops), c.limit) << s->ToString();
    EXPECT_GE(s->tables, 24u);
    EXPECT_GE(s->clients, 16u);
    EXPECT_GE(s->links, c.cells == 40 ? 39u : 1u);
    EXPECT_GE(s->accepted, s->clients + s->links);
    EXPECT_GE(s->handshakes, 32u);
    EXPECT_LT(s->handshakes, s->links);
  }
  const auto two = ShareDescriptors(With(cases[1].sets), 20'000);
  EXPECT_FALSE(two->fits());
  EXPECT_NE(two->WayOut().find(fmt::format("leaves {} for", two->clients)), std::string::npos);
}

TEST(DescriptorsTest, TooFewForTheLeastAreRefused) {
  const auto s = ShareDescriptors(With({}), 200);
  ASSERT_FALSE(s.ok());
  EXPECT_NE(s.error().find("may open 200 descriptors"), std::string::npos) << s.error();
  EXPECT_NE(s.error().find("ulimit -n"), std::string::npos) << s.error();
}

TEST(DescriptorsTest, AServerAloneKeepsWhatIsItsOwn) {
  net::LoopOptions loop;
  net::HttpLimits http;
  ShareSockets(20'000, 48, &loop, &http);
  EXPECT_EQ(http.max_connections, net::HttpLimits{}.max_connections);
  ShareSockets(400, 48, &loop, &http);
  EXPECT_LE(loop.max_accepted + 48, 400u);
  EXPECT_GE(http.max_connections, 200u);
}

class DescriptorsOfACell : public ::testing::Test {
 protected:
  std::vector<std::string> Words(std::vector<std::string> words) const {
    return cell_.Arguments(std::move(words), {"store.write_buffer=1MiB", "store.checkpoint=1MiB"});
  }

  const LoneCell cell_;
};

TEST_F(DescriptorsOfACell, AreLeftToItsStoreWhenClientsTakeAllTheyGet) {
  Program import(cell_.folder(), Words({"import", "--cells", "1", "--users-per-cell", "2",
                                        "--friends-in-cell", "1", "--friends-cross", "0"}));
  ASSERT_EQ(import.Wait(kSoon), 0) << import.output();
  PipedProgram cell(Words({"serve"}), {.open_files = 300});
  const std::string log = cell.ReadLogUntil("serves at", kSoon);
  ASSERT_NE(log.find("serves at"), std::string::npos) << log;
  EXPECT_NE(log.find("of 300 descriptors"), std::string::npos) << log;
  EXPECT_NE(log.find("gateway.max_connections = 16384 does not fit"), std::string::npos) << log;

  const UniqueFd sender = ConnectTo(cell_.http(), kSoon);
  ASSERT_TRUE(sender);
  const std::string body(60'000, 'z');
  const auto send = [&](int request) {
    std::string text = "{\"messages\":[";
    for (int i = 1; i <= 4; ++i) {
      text += fmt::format("{}{{\"send_id\":{},\"friend\":\"2\",\"body\":\"{}\"}}",
                          i == 1 ? "" : ",", 4 * request + i, body);
    }
    text += "]}";
    ASSERT_TRUE(SendAll(sender, fmt::format("POST /v1/users/1/messages HTTP/1.1\r\nHost: "
                                            "127.0.0.1:{}\r\nContent-Length: {}\r\n\r\n{}",
                                            cell_.http(), text.size(), text)));
    const std::string answer = ReceiveUntil(sender, "}", kSoon);
    ASSERT_NE(answer.find("HTTP/1.1 201"), std::string::npos) << request << ": " << answer;
  };
  ASSERT_NO_FATAL_FAILURE(send(0));  // who has asked something makes no room for who has not
  // Every one is taken by the kernel; the cell takes those for which it has room.
  std::vector<UniqueFd> idle;
  for (int i = 0; i < 300; ++i) idle.push_back(ConnectTo(cell_.http(), kSoon));
  for (int request = 1; request < 40; ++request) ASSERT_NO_FATAL_FAILURE(send(request));
  const auto tables = [&] {
    std::size_t count = 0;
    for (const auto& file : std::filesystem::directory_iterator(cell_.store())) {
      count += file.path().extension() == ".sst" ? 1 : 0;
    }
    return count;
  };
  EXPECT_TRUE(Eventually([&] { return tables() >= 4; }, kSoon)) << "it has written files meanwhile";
  idle.clear();
  EXPECT_NE(Ask(cell_.http(), "GET", "/healthz", "", kSoon).find(" 200 "), std::string::npos);
  cell.Signal(SIGTERM);
  EXPECT_EQ(cell.Wait(kSoon), 0);
}

TEST_F(DescriptorsOfACell, AreTooFewToStartWith) {
  PipedProgram cell(Words({"serve"}), {.open_files = 100});
  EXPECT_EQ(cell.Wait(kSoon), 2);
  const std::string log = cell.ReadLogUntil("ulimit -n", kSoon);
  EXPECT_NE(log.find("may open 100 descriptors"), std::string::npos) << log;
}

TEST_F(DescriptorsOfACell, ConfigCheckSaysWhenTheyDoNotFit) {
  const std::string file = cell_.folder() + "/cell.toml";
  std::ofstream(file) << "[gateway]\nmax_connections = 900000\n";
  PipedProgram check({"config", "check", "--file", file}, {.open_files = 2000});
  EXPECT_EQ(check.Wait(kSoon), 2);
  const std::string told = check.ReadLogUntil("lower it", kSoon);
  EXPECT_NE(told.find("gateway.max_connections = 900000 does not fit"), std::string::npos) << told;
}

}  // namespace
}  // namespace baiwan::cli
