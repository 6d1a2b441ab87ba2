#include "monitor/board_feed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace baiwan::monitor {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

Look Answer(const std::string& role, const std::string& name, CellId cell, Values values) {
  Look look;
  look.process.name = name;
  look.process.cell = cell;
  look.process.roles = {role};
  if (role == "cell") look.process.roles = {"gateway", "relay"};
  look.process.endpoint = look.process.ops = {"127.0.0.1", static_cast<std::uint16_t>(9500 + cell)};
  look.values = std::move(values);
  return look;
}
Look Silent(const std::string& role, const std::string& name, CellId cell) {
  Look look = Answer(role, name, cell, {});
  look.error = "nobody listens there";
  return look;
}
Values Load(double users, double finished, double uptime = 0) {
  return {{"drive_users", users},
          {"drive_users_started_total", finished + 1},
          {"drive_users_finished_total", finished},
          {"drive_messages", users * 10},
          {"drive_stored_total", finished * 10 + 5},
          {"drive_delivered_total", finished * 10},
          {"process_uptime_seconds", uptime}};
}
Values Server(double stored, double cpu) {
  return {{"stored_total", stored},
          {"delivered_total", stored / 2},
          {"process_cpu_user_seconds_total", cpu},
          {"refused_total{reason=\"window\"}", stored / 100}};
}

TEST(BoardKeeper, SumsCellsAndTakesRatesBetweenTwoLooks) {
  BoardKeeper keeper;
  keeper.Take(
      {Answer("cell", "cell-0", 0, Server(1000, 1)), Answer("load", "drive-0", 0, Load(50, 10)),
       Answer("load", "drive-1", 1, Load(50, 20))},
      100 * kSecond, {});
  keeper.Take(
      {Answer("cell", "cell-0", 0, Server(4000, 4)), Answer("load", "drive-0", 0, Load(50, 13)),
       Answer("load", "drive-1", 1, Load(50, 20))},
      103 * kSecond, {});
  const BoardState& s = keeper.state();
  EXPECT_EQ(s.users, 100U);
  EXPECT_EQ(s.finished, 33U);
  EXPECT_EQ(s.messages, 1000U);
  EXPECT_EQ(s.stored, 340U);
  EXPECT_EQ(s.delivered, 330U);
  EXPECT_EQ(s.stored_rate, 1000);
  EXPECT_EQ(s.delivered_rate, 500);
  EXPECT_EQ(s.refused, 40U);
  EXPECT_EQ(s.refused_rate, 10);
  EXPECT_THAT(s.reasons, ElementsAre(Pair("window", 40U)));
  ASSERT_EQ(s.cells.size(), 2U);
  EXPECT_EQ(s.cells[0].where, "127.0.0.1:9500");
  EXPECT_EQ(s.cells[0].gained, 3U);
  ASSERT_EQ(s.roles.size(), 2U);
  EXPECT_EQ(s.roles[0].name, "cell");
  EXPECT_EQ(s.roles[0].cores, 1);
}

Values HostOf(const std::string& name, double busy, double idle) {
  return {{"host_machine{host=\"" + name + "\"}", 5},
          {"host_cpu_seconds_total{mode=\"busy\"}", busy},
          {"host_cpu_seconds_total{mode=\"idle\"}", idle}};
}

TEST(BoardKeeper, HostsAreToldOnceEachAndWhatAskingThemCosts) {
  BoardKeeper keeper;
  Look load = Answer("load", "drive-0", 0, Load(50, 10));
  Look cell = Answer("cell", "cell-0", 0, HostOf("worker-000", 100, 100));
  load.bytes = 2000;
  cell.bytes = 4000;
  keeper.Take({cell, load}, 100 * kSecond, {});
  cell.values = HostOf("worker-000", 101, 103);
  keeper.Take({cell, load}, 103 * kSecond, {});
  ASSERT_EQ(keeper.state().hosts.size(), 1U);
  EXPECT_EQ(keeper.state().hosts[0].name, "worker-000");
  EXPECT_EQ(keeper.state().hosts[0].busy, 0.25);
  EXPECT_EQ(keeper.state().fetched_per_host, 2000);
  keeper.Take({Silent("cell", "cell-0", 0)}, 106 * kSecond, {});
  EXPECT_FALSE(keeper.state().hosts[0].answers);
}

TEST(BoardKeeper, ARestartedProcessGivesNoNegativeRateAndASilentOneKeepsItsNumbers) {
  BoardKeeper keeper;
  keeper.Take(
      {Answer("cell", "cell-0", 0, Server(4000, 4)), Answer("load", "drive-0", 0, Load(50, 13))},
      100 * kSecond, {});
  keeper.Take({Answer("cell", "cell-0", 0, Server(300, 1)), Silent("load", "drive-0", 0)},
              101 * kSecond, {});
  EXPECT_EQ(keeper.state().stored_rate, 300);
  EXPECT_EQ(keeper.state().finished, 13U);
  EXPECT_FALSE(keeper.state().cells[0].answers);
  EXPECT_EQ(keeper.state().alive, 1U);
  EXPECT_EQ(keeper.state().expected, 2U);
  EXPECT_THAT(keeper.state().missing, ElementsAre("drive-0"));
}

TEST(BoardKeeper, SecondsCountFromTheFirstUserAndStandStillAtTheEnd) {
  BoardKeeper keeper;
  keeper.Take({Answer("cell", "cell-0", 0, Server(0, 0))}, 100 * kSecond, {});
  EXPECT_EQ(keeper.state().seconds, 0);
  // Looked at for the first time when it has run for 20 s.
  keeper.Take({Answer("load", "drive-0", 0, Load(50, 13, 20))}, 110 * kSecond, {});
  EXPECT_EQ(keeper.state().seconds, 20);
  keeper.Take({Answer("load", "drive-0", 0, Load(50, 50, 25))}, 115 * kSecond, {});
  EXPECT_EQ(keeper.state().seconds, 25);
  EXPECT_TRUE(keeper.state().done());
  keeper.Take({Answer("load", "drive-0", 0, Load(50, 50, 35))}, 125 * kSecond, {});
  EXPECT_EQ(keeper.state().seconds, 25);
}

TEST(BoardKeeper, ALoadClientThatLeftWhenItWasDoneIsNotMissing) {
  BoardKeeper keeper;
  keeper.Take(
      {Answer("load", "drive-0", 0, Load(50, 50)), Answer("load", "drive-1", 1, Load(50, 49))},
      kSecond, {});
  keeper.Take({Silent("load", "drive-1", 1)}, 2 * kSecond, {});
  EXPECT_THAT(keeper.state().missing, ElementsAre("drive-1"));
  EXPECT_EQ(keeper.state().expected, 1U);
  EXPECT_EQ(keeper.state().finished, 99U);  // and stays on the board
  EXPECT_TRUE(keeper.state().cells[0].answers);
  BoardKeeper told(5);
  told.Take({Answer("load", "drive-0", 0, Load(50, 50))}, kSecond, {});
  EXPECT_EQ(told.state().expected, 5U);
  told.Take({}, 2 * kSecond, {});
  EXPECT_EQ(told.state().expected, 4U);
}

TEST(BoardKeeper, ALoadClientThatEndedBetweenTwoLooksIsDoneAndNotMissing) {
  BoardKeeper keeper(2);
  keeper.Take(
      {Answer("load", "drive-0", 0, Load(50, 49)), Answer("load", "drive-1", 1, Load(50, 9))},
      kSecond, {});
  keeper.Leave("drive-0");
  keeper.Take({Answer("load", "drive-1", 1, Load(50, 20))}, 4 * kSecond, {});
  EXPECT_EQ(keeper.state().finished, 70U);
  EXPECT_EQ(keeper.state().delivered, 700U);
  EXPECT_EQ(keeper.state().expected, 1U);
  EXPECT_THAT(keeper.state().missing, ::testing::IsEmpty());
  EXPECT_TRUE(keeper.state().cells[0].answers);
  // One that nobody has said this of is missing.
  keeper.Take({Silent("load", "drive-1", 1)}, 7 * kSecond, {});
  EXPECT_THAT(keeper.state().missing, ElementsAre("drive-1"));
}

TEST(BoardKeeper, ALoadClientThatHasWithdrawnIsNotMissedBeforeALeaseWouldBeOver) {
  BoardKeeper keeper(2);
  keeper.Take(
      {Answer("load", "drive-0", 0, Load(50, 49)), Answer("load", "drive-1", 1, Load(50, 9))},
      kSecond, {});
  keeper.Take({Silent("load", "drive-1", 1)}, 4 * kSecond, {});
  EXPECT_THAT(keeper.state().missing, ElementsAre("drive-1"));
  EXPECT_EQ(keeper.state().expected, 1U);
  EXPECT_TRUE(keeper.state().cells[0].answers);
  EXPECT_FALSE(keeper.state().cells[1].answers);
  EXPECT_EQ(keeper.state().finished, 58U) << "that it has finished nobody has said";
  keeper.Take({}, 12 * kSecond, {});
  EXPECT_THAT(keeper.state().missing, ElementsAre("drive-0", "drive-1"));
  EXPECT_FALSE(keeper.state().cells[0].answers);
}

TEST(BoardKeeper, UsersWhoseLoadClientHasNotAnsweredYetCountWhereTheirNumberIsKnown) {
  BoardKeeper keeper(4, 100, 1000);
  keeper.Take({Answer("load", "drive-0", 0, Load(50, 50))}, kSecond, {});
  EXPECT_EQ(keeper.state().users, 100U);
  EXPECT_EQ(keeper.state().messages, 1000U);
  EXPECT_EQ(keeper.state().finished, 50U);
  EXPECT_FALSE(keeper.state().done());
}

TEST(BoardKeeper, CellsOfOneProcessCountItsCpuOnce) {
  BoardKeeper keeper;
  for (int i = 0; i < 2; ++i) {
    Values a = Server(100 * i, 2.0 * i);
    a["process_id"] = 4711;
    Values b = Server(100 * i, 2.0 * i);
    b["process_id"] = 4711;
    keeper.Take({Answer("cell", "cell-0", 0, a), Answer("cell", "cell-1", 1, b)}, (1 + i) * kSecond,
                {});
  }
  EXPECT_EQ(keeper.state().stored_rate, 200);
  EXPECT_EQ(keeper.state().alive, 1U) << "they are one process";
  EXPECT_EQ(keeper.state().expected, 1U);
  ASSERT_EQ(keeper.state().roles.size(), 1U);
  EXPECT_EQ(keeper.state().roles[0].processes, 1U);
  EXPECT_EQ(keeper.state().roles[0].cores, 2);
  keeper.Take({Silent("cell", "cell-0", 0), Silent("cell", "cell-1", 1)}, 3 * kSecond, {});
  EXPECT_EQ(keeper.state().alive, 0U);
  EXPECT_EQ(keeper.state().expected, 1U);
  EXPECT_THAT(keeper.state().missing, ElementsAre("cell-0", "cell-1"));
}

TEST(BoardKeeper, TheGridIsInTheOrderOfCells) {
  BoardKeeper keeper;
  std::vector<Look> looks;
  for (CellId cell : {11, 2, 10, 0}) looks.push_back(Answer("load", "d", cell, Load(5, 1)));
  keeper.Take(looks, kSecond, {});
  std::vector<std::string> where;
  for (const BoardState::Cell& cell : keeper.state().cells) where.push_back(cell.where);
  EXPECT_THAT(where,
              ElementsAre("127.0.0.1:9500", "127.0.0.1:9502", "127.0.0.1:9510", "127.0.0.1:9511"));
}

TEST(BoardKeeper, ABackendThatIsNotOursIsSeenThroughItsClients) {
  BoardKeeper keeper;
  keeper.Take({Answer("load", "drive-0", 0, Load(50, 10))}, kSecond, {});
  keeper.Take({Answer("load", "drive-0", 0, Load(50, 20))}, 2 * kSecond, {});
  EXPECT_EQ(keeper.state().stored_rate, 100);
  EXPECT_EQ(keeper.state().delivered_rate, 100);
}

TEST(BoardKeeper, AbsurdNumbersStayNumbers) {
  BoardKeeper keeper;
  Values absurd = {{"drive_users", 1e300},           {"drive_users_finished_total", -5},
                   {"drive_messages", 1e300},        {"process_uptime_seconds", 1e300},
                   {"drive_users_started_total", 1}, {"refused_total{reason=\"x\"}", 1e300}};
  for (int i = 1; i < 4; ++i) {
    keeper.Take({Answer("load", "a", 0, absurd), Answer("load", "b", 1, absurd)}, i * kSecond, {});
  }
  EXPECT_EQ(keeper.state().finished, 0U);
  EXPECT_LE(keeper.state().seconds, 1e10);
  EXPECT_FALSE(RenderBoard(keeper.state(), {80, 0, true, true}).empty());
}

TEST(Processes, ServicesWithOneOpsAddressAreOneProcess) {
  std::vector<registry::Service> services(4);
  services[0] = {"gateway", "cell-0", 0, {"127.0.0.1", 9500}, 9500, 5, {}};
  services[1] = {"relay", "cell-0", 0, {"127.0.0.1", 11000}, 9500, 5, {}};
  services[2] = {"load", "drive-0", 0, {"127.0.0.1", 7000}, 0, 6, {}};
  services[3] = {"gateway", "cell-1", 1, {"127.0.0.2", 9500}, 9500, 7, {}};
  const auto processes = ProcessesOf(services, Endpoint{"127.0.0.1", 8089});
  std::vector<std::string> ids;
  ids.reserve(processes.size());
  for (const Process& p : processes) ids.push_back(p.id() + " " + p.kind());
  EXPECT_THAT(ids, ElementsAre("gateway+relay/0000/cell-0 cell", "gateway/0001/cell-1 gateway",
                               "load/0000/drive-0 load", "registry/0000/registry registry"));
}

}  // namespace
}  // namespace baiwan::monitor
