#include "stress/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/rng.h"
#include "base/testing/temp_folder.h"

namespace baiwan::stress {
namespace {

using ::testing::HasSubstr;

class LedgerTest : public ::testing::Test {
 protected:
  static CellGraph Users(std::vector<UserId> users) {
    const std::size_t n = users.size();
    return {std::move(users), std::vector<std::uint64_t>(n + 1, 0), {}};
  }
  std::unique_ptr<Ledger> Open(const CellGraph& graph) {
    auto ledger = Ledger::Open(path_, graph);
    EXPECT_TRUE(ledger.ok()) << ledger.error();
    return ledger ? std::move(*ledger) : nullptr;
  }
  void Overwrite(std::size_t at, std::string_view bytes) {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at));
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  const TempFolder temp_;
  const std::string folder_ = temp_.path();
  std::string path_ = folder_ + "/ledger";
};

TEST_F(LedgerTest, KeepsTheHighestThatWasToldAndGoesOnFromThere) {
  const CellGraph graph = Users({5, 7, 9});
  {
    auto ledger = Open(graph);
    EXPECT_TRUE(ledger->Covers(1, 0, 0));
    ledger->Told(1, 10, 4);
    ledger->Told(1, 8, 6);
    ledger->Told(1, 10, 5);
    ledger->Told(2, 1, 0);
  }
  auto ledger = Open(graph);
  EXPECT_EQ(ledger->told(1).send_id, 10u);
  EXPECT_EQ(ledger->told(1).send_ack_id, 6u);
  EXPECT_TRUE(ledger->Covers(1, 10, 6));
  EXPECT_FALSE(ledger->Covers(1, 9, 6));
  EXPECT_FALSE(ledger->Covers(1, 10, 5));
  ledger->Told(1, 11, 6);
  ledger.reset();
  const auto content = ReadLedger(path_);
  ASSERT_TRUE(content.ok());
  EXPECT_EQ(content->damaged, 0u);
  ASSERT_EQ(content->entries.size(), 2u);
  EXPECT_EQ(content->entries[0].user, 7u);
  EXPECT_EQ(content->entries[0].send_id, 11u);
  EXPECT_EQ(content->entries[0].send_ack_id, 6u);
  EXPECT_EQ(content->entries[1].user, 9u);
}

TEST_F(LedgerTest, HalfAWriteLeavesWhatWasToldBefore) {
  const CellGraph graph = Users({5});
  {
    auto ledger = Open(graph);
    ledger->Told(0, 1, 1);  // the first slot
    ledger->Told(0, 2, 2);  // the second
  }
  for (const std::size_t at : {0u, 8u, 16u, 24u}) {
    const auto good = ReadFile(path_);
    Overwrite(64 + 32 + at, "\xff");
    const auto content = ReadLedger(path_);
    ASSERT_TRUE(content.ok());
    ASSERT_EQ(content->entries.size(), 1u);
    EXPECT_EQ(content->entries[0].send_id, 1u);
    EXPECT_EQ(content->damaged, 0u);
    Overwrite(0, *good);
  }
  Overwrite(64, "\xff");
  EXPECT_EQ(ReadLedger(path_)->entries[0].send_id, 2u);
  Overwrite(64 + 32, "\xff");
  EXPECT_EQ(ReadLedger(path_)->entries.size(), 0u);
  EXPECT_EQ(ReadLedger(path_)->damaged, 1u);
}

TEST_F(LedgerTest, WhatWasToldSurvivesKill9) {
  const CellGraph graph = Users({5, 6});
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto ledger = Ledger::Open(path_, graph);
    for (Seq n = 1;; ++n) {
      (*ledger)->Told(n % 2, n, n / 2);
      if (n % 1000 == 0 && write(pipe_fds[1], &n, sizeof n) != sizeof n) _exit(1);
    }
  }
  Seq told = 0;
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(read(pipe_fds[0], &told, sizeof told), static_cast<ssize_t>(sizeof told));
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(pipe_fds[0]);
  close(pipe_fds[1]);
  const auto content = ReadLedger(path_);
  ASSERT_TRUE(content.ok());
  EXPECT_EQ(content->damaged, 0u);
  ASSERT_EQ(content->entries.size(), 2u);
  for (const auto& entry : content->entries) EXPECT_GE(entry.send_id + 1, told);
}

TEST_F(LedgerTest, IsRefusedWithTheWayOut) {
  const CellGraph graph = Users({5, 6});
  const auto refusal = [&](const CellGraph& users) {
    const auto opened = Ledger::Open(path_, users);
    return opened ? std::string() : opened.error();
  };
  {
    auto ledger = Open(graph);
    ledger->Told(0, 1, 1);
    EXPECT_THAT(refusal(graph), HasSubstr("in use"));
  }
  EXPECT_THAT(refusal(Users({5, 6, 7})), HasSubstr("is of 2 users, this test has 3"));
  EXPECT_THAT(refusal(Users({4, 6})), HasSubstr("other users"));
  Overwrite(8, "\x02");
  EXPECT_THAT(refusal(graph), HasSubstr("format version 2"));
  EXPECT_THAT(ReadLedger(path_).error(), HasSubstr("format version 2"));
  Overwrite(0, "something else");
  EXPECT_THAT(refusal(graph), HasSubstr("not a ledger"));
  std::filesystem::resize_file(path_, 10);
  EXPECT_THAT(ReadLedger(path_).error(), HasSubstr("not a ledger"));
  path_ = folder_ + "/none/ledger";
  EXPECT_THAT(refusal(graph), HasSubstr(path_));
  EXPECT_THAT(ReadLedger(path_).error(), HasSubstr(path_));
}

TEST_F(LedgerTest, OneThatDiedBeingMadeIsMadeAnew) {
  const CellGraph graph = Users({5, 6});
  for (const std::size_t size : {0u, 10u, 64u, 192u}) {
    { std::ofstream file(path_, std::ios::trunc); }
    std::filesystem::resize_file(path_, size);
    auto ledger = Open(graph);
    ASSERT_NE(ledger, nullptr) << size;
    ledger->Told(1, 3, 3);
    ledger.reset();
    EXPECT_EQ(ReadLedger(path_)->entries.size(), 1u);
  }
}

}  // namespace
}  // namespace baiwan::stress
