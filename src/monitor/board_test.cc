#include "monitor/board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "monitor/board_screen.h"

namespace baiwan::monitor {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

BoardState Running() {
  BoardState s;
  s.seconds = 12.4;
  s.users = 4000;
  s.finished = 2345;
  s.messages = 600'000;
  s.stored = 355'000;
  s.delivered = 350'100;
  s.stored_rate = 102'345.4;
  s.delivered_rate = 99'870;
  s.alive = 10;
  s.expected = 10;
  s.roles = {{"cell", 4, 1.214}, {"load", 4, 0.53}, {"monitor", 1, 0.004}};
  s.cpus = 2;
  s.busy = 0.874;
  s.steal = 0.003;
  s.cells = {{"127.0.0.1:40113", 812, 135, true},
             {"127.0.0.1:40114", 790, 1041, true},
             {"127.0.0.1:40115", 743, 0, true}};
  return s;
}

// Columns, without colours.
std::size_t Width(std::string_view line) {
  std::size_t columns = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b') {
      i = line.find('m', i);
    } else if ((line[i] & 0xC0) != 0x80) {
      ++columns;
    }
  }
  return columns;
}
std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = text.find('\n', at);
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

TEST(Board, InAPipeItIsPlainLines) {
  EXPECT_EQ(RenderBoard(Running(), {80}),
            "sum  2,345 of 4,000 users finished, 12 s\n"
            "127.0.0.1:40113 812 +135     127.0.0.1:40114 790 +1,041\n"
            "127.0.0.1:40115 743\n"
            "messages   102,345 stored/s  99,870 delivered/s  350,100 of 600,000 delivered\n"
            "services   10 of 10 alive\n"
            "refusals   0\n"
            "CPU        cell 1.21  load 0.53  monitor 0.00  cores\n"
            "machine    2 CPUs 87 % busy, steal 0.3 %\n");
}

TEST(Board, TroubleIsNamed) {
  BoardState s = Running();
  s.alive = 8;
  s.missing = {"cell-1", "load-1"};
  s.refused = 1234;
  s.refused_rate = 17;
  s.reasons = {{"overloaded", 1200}, {"window", 34}};
  s.steal = 0.124;
  s.cells[1].answers = false;
  const std::string text = RenderBoard(s, {100});
  EXPECT_THAT(text, HasSubstr("127.0.0.1:40114 790 down"));
  EXPECT_THAT(text, HasSubstr("services   8 of 10 alive; missing: cell-1, load-1\n"));
  EXPECT_THAT(text, HasSubstr("refusals   1,234, 17/s: overloaded 1,200, window 34\n"));
  EXPECT_THAT(text, HasSubstr("steal 12.4 %\nWARNING    its host keeps CPU from this machine"));
}

HostUse Host(const char* name, std::uint64_t machine, double busy, double steal,
             std::uint64_t memory, std::uint64_t disk) {
  HostUse u;
  u.name = name;
  u.machine = machine;
  u.busy = busy;
  u.steal = steal;
  u.memory = u.disk = 100;
  u.memory_available = memory;
  u.disk_free = disk;
  return u;
}

TEST(Board, OfManyMachinesTheWorstAreNamedInsteadOfItsOwn) {
  BoardState s = Running();
  s.hosts = {Host("control", 1, 0.1, 0, 90, 80), Host("worker-000", 2, 0.93, 0.001, 42, 77),
             Host("worker-001", 3, 0.5, 0.121, 50, 7)};
  s.fetched_per_host = 1980;
  const std::string text = RenderBoard(s, {80});
  EXPECT_THAT(text, HasSubstr("services   10 of 10 alive, 1,980 bytes/s of metrics a host\n"));
  EXPECT_THAT(text,
              HasSubstr("hosts      3, the    CPU busy      93 % worker-000  steal      12.1 % "
                        "worker-001\n"
                        "           worst     memory left   42 % worker-000  disk left   7.0 % "
                        "worker-001\n"));
  EXPECT_THAT(text, Not(HasSubstr("machine    2 CPUs")));
  s.hosts[1].exceeded = {{"bw_out", 12}};
  EXPECT_THAT(RenderBoard(s, {80}),
              HasSubstr("network    worker-000 is beyond its bw_out allowance\n"));
}

TEST(Board, WhatHostsOfOneMachineShareHasNoHostsName) {
  BoardState s = Running();
  s.hosts = {Host("control", 1, 0.9, 0, 62, 80), Host("worker-000", 1, 0.93, 0.003, 62, 71)};
  EXPECT_THAT(RenderBoard(s, {80}),
              HasSubstr("hosts      2 on one  CPU busy      93 %             steal       0.3 %\n"
                        "           machine   memory left   62 %             disk left  71.0 % "
                        "worker-000\n"));
  s.hosts[0].answers = s.hosts[1].answers = false;
  EXPECT_THAT(RenderBoard(s, {80}), HasSubstr("hosts      none answers\n"));
}

TEST(Board, ATerminalHasABarAndColours) {
  const BoardStyle style{80, 0, true, true};
  const std::string text = RenderBoard(Running(), style);
  EXPECT_THAT(Lines(text)[1], HasSubstr("█"));
  EXPECT_THAT(Lines(text)[1], HasSubstr("58.4 %  3 s left"));
  EXPECT_THAT(text, HasSubstr("\x1b[32m +135"));
  const std::string plain = RenderBoard(Running(), {80, 0, false, true});
  EXPECT_THAT(plain, Not(HasSubstr("\x1b")));
}

TEST(Board, WithoutALoadClientItSaysSo) {
  BoardState s;
  s.alive = 2;
  s.expected = 2;
  EXPECT_EQ(RenderBoard(s, {80, 0, false, true}),
            "sum  no load client yet\n"
            "messages   0 stored/s  0 delivered/s\n"
            "services   2 of 2 alive\n"
            "refusals   0\n"
            "CPU        nobody answers\n");
}

TEST(Board, EveryLineFitsEveryWidthAndTheGridEveryHeight) {
  BoardState s = Running();
  s.missing = std::vector<std::string>(12, "some-process-with-a-long-name");
  s.expected = 22;
  s.steal = 0.5;
  s.reasons = {{"overloaded", 1200}, {"window", 34}};
  s.hosts = {Host("control", 1, 0.1, 0, 90, 80), Host("worker-000", 2, 0.93, 0.4, 4, 2)};
  s.hosts[0].exceeded = {{"bw_out", 12}};
  for (int i = 0; i < 200; ++i) s.cells.push_back({"10.0.2.20:9500", 25'000, 12, true});
  for (std::size_t width : {1, 10, 25, 40, 79, 80, 132, 250}) {
    for (std::size_t height : {0, 12, 24, 50}) {
      const auto lines = Lines(RenderBoard(s, {width, height, true, true}));
      for (const std::string& line : lines) EXPECT_LE(Width(line), width) << line;
      EXPECT_LE(lines.size(), height > 0 ? height : 1000);
    }
  }
  EXPECT_THAT(RenderBoard(s, {80, 24, false, true}), HasSubstr("more\n"));
}

TEST(Board, JsonHasTheSameNumbers) {
  BoardState s = Running();
  s.reasons = {{"window", 3}};
  const std::string json = BoardToJson(s);
  EXPECT_THAT(json, HasSubstr("\"finished\":2345"));
  EXPECT_THAT(json, HasSubstr("\"reasons\":{\"window\":3}"));
  EXPECT_THAT(json, HasSubstr("{\"where\":\"127.0.0.1:40113\",\"finished\":812,\"gained\":135,"
                              "\"answers\":true}"));
  EXPECT_EQ(json.find('\n'), json.size() - 1);
  s.hosts = {Host("worker-000", 2, 0.5, 0.25, 42, 77)};
  EXPECT_THAT(BoardToJson(s), HasSubstr("\"hosts\":[{\"name\":\"worker-000\",\"machine\":2,"
                                        "\"answers\":true,\"cpus\":0,\"busy\":0.5,\"steal\":0.25"));
}

TEST(Board, IsTheSameAgainFromItsJson) {
  BoardState s = Running();
  s.reasons = {{"window", 3}, {"busy", 2}};
  s.missing = {"cell-2 \"relay\""};
  s.cells.back().answers = false;
  s.hosts = {Host("control", 1, 0.1, 0, 90, 80), Host("worker-000", 2, 0.93, 0.4, 4, 2)};
  s.hosts[1].exceeded = {{"bw_out", 12}};
  s.fetched_per_host = 1234.5;
  const auto again = BoardFromJson(BoardToJson(s));
  ASSERT_TRUE(again);
  EXPECT_EQ(BoardToJson(*again), BoardToJson(s));
  EXPECT_EQ(RenderBoard(*again, {}), RenderBoard(s, {}));
  for (const char* bad : {"", "3", "[]", "{}", R"({"reasons":{},"roles":[],"cells":[1]})",
                          R"({"users":"x","reasons":{},"roles":[],"cells":[]})",
                          R"({"hosts":[{}],"reasons":{},"roles":[],"cells":[]})"}) {
    EXPECT_FALSE(BoardFromJson(bad)) << bad;
  }
}

TEST(Board, CommasAreEveryThreeDigits) {
  EXPECT_EQ(WithCommas(0), "0");
  EXPECT_EQ(WithCommas(999), "999");
  EXPECT_EQ(WithCommas(1000), "1,000");
  EXPECT_EQ(WithCommas(148'705'680), "148,705,680");
}

TEST(BoardScreen, RedrawsInPlaceWithoutBlanking) {
  EXPECT_EQ(RedrawOver(0, "a\nb\n"), "\ra\x1b[K\nb\x1b[K\n\x1b[J");
  EXPECT_EQ(RedrawOver(2, "a\n"), "\r\x1b[2Aa\x1b[K\n\x1b[J");
}

TEST(BoardScreen, AFileGetsPlainLines) {
  std::FILE* file = std::tmpfile();
  BoardScreen screen(file);
  EXPECT_FALSE(screen.terminal());
  screen.Draw(Running());
  screen.Draw(Running());
  std::rewind(file);
  std::string text(8192, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  const std::string once = RenderBoard(Running(), {}) + "\n";
  EXPECT_EQ(text, once + once);
}

}  // namespace
}  // namespace baiwan::monitor
