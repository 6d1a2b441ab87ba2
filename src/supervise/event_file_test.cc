#include "supervise/event_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/testing/temp_folder.h"

namespace baiwan::supervise {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(EventFile, WhatIsKeptIsReadAgainOverAllLives) {
  const TempFolder folder;
  const std::string path = folder.path() + "/events.jsonl";
  const KeptEvent started{1, EventKind::kStarted, "cell-1", false, false, ""};
  const KeptEvent killed{2, EventKind::kExited, "cell-1", false, false, "killed by \"signal\" 9"};
  const KeptEvent asked{3, EventKind::kExited, "cell-1", true, true, "exited with code 0"};
  {
    EventFile file;
    ASSERT_EQ(file.Open(path), std::nullopt);
    file.Add(started);
    file.Add(killed);
  }
  std::ofstream(path, std::ios::app) << "{\"ms\": 2, \"chi";  // torn by a crash
  EventFile next;
  ASSERT_EQ(next.Open(path), std::nullopt);
  next.Add(asked);
  EXPECT_THAT(ReadEvents(path), ElementsAre(started, killed, asked));
  EXPECT_THAT(ReadEvents(folder.path() + "/none"), IsEmpty());
}

TEST(EventFile, TakesNoMoreThanItsLimit) {
  const TempFolder folder;
  const std::string path = folder.path() + "/events.jsonl";
  std::ofstream(path) << std::string(kMostEventBytes, '\n');
  EventFile file;
  ASSERT_EQ(file.Open(path), std::nullopt);
  file.Add({1, EventKind::kStarted, "cell-1", false, false, ""});
  EXPECT_THAT(ReadEvents(path), IsEmpty());
}

TEST(EventFile, AnEventIsKeptWithHowItEnded) {
  Event event;
  event.kind = EventKind::kExited;
  event.child = "cell-1";
  event.exit = Exit{true, 9, {}};
  EXPECT_EQ(Kept(event, 5),
            (KeptEvent{5, EventKind::kExited, "cell-1", false, false, event.exit->ToString()}));
  event.exit = Exit{false, 0, {}};
  event.asked = true;
  EXPECT_TRUE(Kept(event, 5).success);
  EXPECT_TRUE(Kept(event, 5).asked);
}

}  // namespace
}  // namespace baiwan::supervise
