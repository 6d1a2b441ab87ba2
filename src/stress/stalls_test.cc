#include "stress/stalls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/testing/temp_folder.h"
#include "monitor/series.h"

namespace baiwan::stress {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr std::uint64_t kBegan = 1'000'000;

class StallsTest : public ::testing::Test {
 public:
  // A load client of 100 users in the beat that comes next; less than 0: it does not answer.
  StallsTest& Load(const std::string& name, double delivered, double finished = 1) {
    monitor::Sample sample;
    sample.name = name;
    sample.roles = {"load"};
    if (delivered < 0) {
      sample.error = "nobody listens there";
    } else {
      sample.values = {{"drive_users", 100},
                       {"drive_users_started_total", 2},
                       {"drive_users_finished_total", finished},
                       {"drive_delivered_total", delivered}};
    }
    return Add(sample);
  }
  StallsTest& Server(const std::string& name, double delivered) {
    monitor::Sample sample;
    sample.name = name;
    sample.roles = {"logic"};
    sample.values = {{"delivered_total", delivered}};
    return Add(sample);
  }
  void Beat(std::uint64_t seconds) {
    const std::uint64_t ms = kBegan + seconds * 1000;
    for (monitor::Sample& sample : samples_) {
      sample.ms = ms;
      text_ += ToLine(sample);
    }
    samples_.clear();
    monitor::Beat beat;
    beat.ms = ms;
    text_ += ToLine(beat);
  }
  std::vector<TimelineEvent> Events() {
    const TempFolder folder;
    std::ofstream(folder.path() + "/series.jsonl") << text_;
    Timeline timeline;
    EXPECT_EQ(AddStalls(folder.path() + "/series.jsonl", &timeline), std::nullopt);
    return timeline.Take();
  }
  static TimelineEvent Event(std::uint64_t from, std::uint64_t until, const char* kind,
                             const std::string& who, const std::string& what) {
    return {static_cast<std::int64_t>(kBegan + from * 1000),
            static_cast<std::int64_t>(kBegan + until * 1000),
            kind,
            who,
            what,
            true};
  }

 private:
  StallsTest& Add(const monitor::Sample& sample) {
    samples_.push_back(sample);
    return *this;
  }

  std::vector<monitor::Sample> samples_;
  std::string text_;
};

TEST_F(StallsTest, ATimeInWhichNothingCameIsOneStallOfAll) {
  for (std::uint64_t s = 0; s <= 60; ++s) {
    const double moved = s <= 10 ? s : s <= 50 ? 10 : s - 40;
    Load("drive-0", moved).Load("drive-1", moved).Beat(s);
  }
  EXPECT_THAT(Events(), ElementsAre(Event(10, 50, kStallEvent, "", "0 messages/s for 40 s")));
}

TEST_F(StallsTest, LooksThatAreFarApartHideNone) {
  for (const std::uint64_t s : {0, 1, 2, 5, 8, 11, 14, 15, 16}) {
    Load("drive-0", s < 2 ? s : s < 14 ? 2 : s).Beat(s);  // it began somewhere before 2
  }
  EXPECT_THAT(Events(), ElementsAre(Event(2, 11, kStallEvent, "", "0 messages/s for 9 s")));
}

TEST_F(StallsTest, OneThatStandsStillWhileOthersGoOnIsNamed) {
  for (std::uint64_t s = 0; s <= 60; ++s) {
    Load("drive-0", s).Load("drive-1", s <= 10 ? s : s <= 30 ? 10 : s).Beat(s);
  }
  EXPECT_THAT(Events(),
              ElementsAre(Event(10, 30, kStallEvent, "drive-1", "0 messages/s for 20 s")));
}

TEST_F(StallsTest, ShortOnesAndThoseBeforeTheBeginAndAfterTheEndAreNone) {
  for (std::uint64_t s = 0; s <= 100; ++s) {
    const double moved = s < 20 ? s / 8 : s < 40 ? s : 40;
    const double finished = s < 40 ? 1 : 100;
    if (s < 60) Load("drive-0", moved, finished);
    Server("logic-0", moved).Beat(s);
  }
  EXPECT_THAT(Events(), IsEmpty());
}

TEST_F(StallsTest, OneThatLeftBetweenTwoLooksStandsNotStill) {
  for (std::uint64_t s = 0; s <= 100; ++s) {
    if (s < 30) Load("drive-0", s);
    Server("logic-0", std::min<double>(s, 30)).Beat(s);
  }
  EXPECT_THAT(Events(), IsEmpty());
}

TEST_F(StallsTest, WhoDoesNotAnswerIsToldAndIsNoStallWhereNothingIsKnown) {
  for (std::uint64_t s = 0; s <= 60; ++s) {
    const bool silent = s > 10 && s <= 30;
    Load("drive-0", silent ? -1 : static_cast<double>(s)).Beat(s);
  }
  EXPECT_THAT(Events(), ElementsAre(Event(10, 31, kSilenceEvent, "drive-0", "did not answer")));
}

TEST_F(StallsTest, LoadClientsThatAreHaltedAreAStallWhereTheServersTellSo) {
  for (std::uint64_t s = 0; s <= 60; ++s) {
    const bool halted = s > 10 && s <= 30;
    const double moved = s <= 10 ? s : s <= 30 ? 10 : s - 20;
    Load("drive-0", halted ? -1 : moved).Server("logic-0", moved).Beat(s);
  }
  EXPECT_THAT(Events(),
              UnorderedElementsAre(Event(10, 30, kStallEvent, "", "0 messages/s for 20 s"),
                                   Event(10, 31, kSilenceEvent, "drive-0", "did not answer")));
}

TEST_F(StallsTest, ARecordThatIsNotThereIsASentence) {
  Timeline timeline;
  EXPECT_NE(AddStalls("/no/such/file", &timeline), std::nullopt);
}

}  // namespace
}  // namespace baiwan::stress
