#include "fleet/host_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/testing/temp_folder.h"
#include "fleet/health.h"

namespace baiwan::fleet {
namespace {

using monitor::HostUse;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint64_t kGiB = 1ULL << 30;

FleetPlan Plan() {
  FleetPlan plan;
  plan.hosts.count = 4;
  return plan;
}

// A host on a machine of its own that is well.
HostUse Well(const std::string& name) {
  HostUse use;
  use.name = name;
  use.machine = std::hash<std::string>()(name);
  use.cpus = 2;
  use.busy = 0.9;
  use.memory = 8 * kGiB;
  use.memory_available = 6 * kGiB;
  use.disk = 100 * kGiB;
  use.disk_free = 80 * kGiB;
  return use;
}
HostUse Stolen(const std::string& name, double steal) {
  HostUse use = Well(name);
  use.steal = steal;
  return use;
}
HostBeat Beat(std::int64_t seconds, std::vector<HostUse> hosts, double done = 0.5) {
  return {1'000'000 + seconds * 1000, std::move(hosts), done};
}

TEST(HostWatch, WhoIsWellIsNotNamed) {
  HostWatch watch(Plan());
  for (int s = 0; s <= 60; s += 10) {
    EXPECT_THAT(watch.Look(Beat(s, {Well("control"), Stolen("worker-000", 0.09)})), IsEmpty());
  }
}

TEST(HostWatch, StealIsToldWhenItHasLastedTenSecondsAndWhenItIsOver) {
  HostWatch watch(Plan());
  watch.Look(Beat(0, {Well("worker-000"), Well("worker-001")}));
  EXPECT_THAT(watch.Look(Beat(3, {Stolen("worker-000", 0.2), Well("worker-001")})), IsEmpty());
  EXPECT_THAT(watch.Look(Beat(6, {Stolen("worker-000", 0.2), Well("worker-001")})), IsEmpty());
  const auto begun = watch.Look(Beat(12, {Stolen("worker-000", 0.2), Stolen("worker-001", 0.345)}));
  ASSERT_EQ(begun.size(), 1U);  // worker-001 has not lasted yet
  EXPECT_EQ(begun[0].kind, "steal");
  EXPECT_FALSE(begun[0].over);
  EXPECT_THAT(begun[0].hosts, ElementsAre("worker-000"));
  EXPECT_THAT(begun[0].values, ElementsAre("20 %"));
  // Between the two thresholds it goes on; the others' word waits for the pause of 30 s.
  for (int s = 15; s < 40; s += 3) {
    EXPECT_THAT(watch.Look(Beat(s, {Stolen("worker-000", 0.07), Stolen("worker-001", 0.3)})),
                IsEmpty());
  }
  const auto more = watch.Look(Beat(45, {Stolen("worker-000", 0.07), Stolen("worker-001", 0.3)}));
  ASSERT_EQ(more.size(), 1U);
  EXPECT_THAT(more[0].hosts, ElementsAre("worker-001"));
  watch.Look(Beat(48, {Well("worker-000"), Well("worker-001")}));
  const auto over = watch.Look(Beat(120, {Well("worker-000"), Well("worker-001")}));
  ASSERT_EQ(over.size(), 1U);
  EXPECT_TRUE(over[0].over);
  EXPECT_THAT(over[0].hosts, ElementsAre("worker-000", "worker-001"));
}

TEST(HostWatch, ManyHostsAreToldTogetherTheWorstFirst) {
  FleetPlan plan = Plan();
  plan.hosts.count = 40;
  HostWatch watch(plan);
  std::vector<HostUse> hosts;
  for (std::uint32_t i = 0; i < 40; ++i) hosts.push_back(Stolen(WorkerName(i), 0.2 + i * 0.01));
  watch.Look(Beat(0, hosts));
  const auto told = watch.Look(Beat(10, hosts));
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].hosts.size(), 40U);
  EXPECT_EQ(NoticeText(told[0]),
            "warning: steal over 10 %: CPU is kept from them, as when burst credits are gone\n"
            "  worker-039 59 %, worker-038 58 %, worker-037 57 %, worker-036 56 % and 36 others\n");
}

TEST(HostWatch, WhatComesAndGoesAllTheTimeIsNoFlood) {
  HostWatch watch(Plan());
  std::size_t told = 0;
  for (int s = 0; s < 7200; s += 10) {
    HostUse use = Well("worker-000");
    if (s / 20 % 2 == 0) use.exceeded["bw_in"] = 1 + s;
    if (s / 60 % 2 == 0) use.steal = 0.5;
    told += watch.Look(Beat(s, {use})).size();
  }
  EXPECT_GT(told, 4U);
  EXPECT_LT(told, 60U);
}

TEST(HostWatch, PartsOfOneMachineAreOne) {
  HostWatch watch(Plan());
  std::vector<HostUse> hosts;
  for (const char* name : {"control", "worker-000", "worker-001"}) {
    HostUse use = Stolen(name, 0.2);
    use.machine = 7;
    use.memory_available = kGiB / 10;
    hosts.push_back(use);
  }
  watch.Look(Beat(0, hosts));
  const auto told = watch.Look(Beat(10, hosts));
  ASSERT_EQ(told.size(), 2U);
  EXPECT_THAT(told[0].hosts, ElementsAre("control and 2 others, one machine"));
  EXPECT_EQ(told[1].kind, "memory");
  EXPECT_THAT(told[1].values, ElementsAre("1 %"));
}

TEST(HostWatch, AMachineStaysTheSameWhenSomeOfItsHostsDoNotAnswer) {
  HostWatch watch(Plan());
  const auto beat = [](int s, bool low, bool all) {
    std::vector<HostUse> hosts;
    for (const char* name : {"control", "worker-000", "worker-001"}) {
      HostUse use = Well(name);
      use.machine = 7;
      if (low) use.memory_available = use.disk_free = kGiB / 10;
      use.answers = all || use.name == "worker-001";
      hosts.push_back(use);
    }
    return Beat(s, std::move(hosts), 1);
  };
  watch.Look(beat(0, true, true));
  ASSERT_EQ(watch.Look(beat(10, true, true)).size(), 1U);  // memory; the disk came first
  for (int s = 20; s < 200; s += 10) EXPECT_THAT(watch.Look(beat(s, true, false)), IsEmpty());
  const auto over = watch.Look(beat(200, false, false));
  ASSERT_EQ(over.size(), 2U);
  for (const Notice& notice : over) {
    EXPECT_TRUE(notice.over);
    EXPECT_THAT(notice.hosts, ElementsAre("control and 2 others, one machine"));
  }
}

TEST(HostWatch, ADiskHasToHoldWhatIsStillToCome) {
  FleetPlan plan = Plan();
  plan.hosts.users_per_host = 100'000;
  plan.workload.rounds = 20;
  HostWatch watch(plan);
  const HostNeeds needs = watch.needs("worker-000");
  ASSERT_GT(needs.message_bytes, 10 * kGiB);
  HostUse use = Well("worker-000");
  use.disk_free = needs.reserve(use.disk) + needs.message_bytes / 2;
  EXPECT_THAT(watch.Look(Beat(0, {use}, 0.51)), IsEmpty());
  const auto told = watch.Look(Beat(10, {use}, 0.4));
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].kind, "disk");
  EXPECT_THAT(told[0].values[0], HasSubstr("GiB to come and 5.0 GiB kept free"));
  // Two hosts on a disk that has room for one.
  HostUse a = use;
  HostUse b = use;
  b.name = "worker-001";
  HostWatch shared(plan);
  const auto both = shared.Look(Beat(0, {a, b}, 0.51));
  ASSERT_EQ(both.size(), 1U);
  EXPECT_THAT(both[0].hosts, ElementsAre("worker-000 and 1 other, one machine"));
}

TEST(HostWatch, WhatStoresKeepFreeCountsAlsoBesideAHostWithoutOne) {
  FleetPlan plan = Plan();
  plan.hosts.users_per_host = 100'000;
  plan.workload.rounds = 20;
  HostWatch watch(plan);
  HostUse control = Well("control");
  HostUse worker = Well("worker-000");
  control.machine = worker.machine = 7;
  const HostNeeds needs = watch.needs("worker-000");
  // Enough for the messages, but not beside what the store keeps.
  control.disk_free = worker.disk_free = needs.message_bytes / 2 + needs.reserve(worker.disk) / 2;
  const auto told = watch.Look(Beat(0, {control, worker}, 0.5));
  ASSERT_EQ(told.size(), 1U);
  EXPECT_THAT(told[0].hosts, ElementsAre("control and 1 other, one machine"));
  EXPECT_THAT(told[0].values[0], HasSubstr("5.0 GiB kept free"));
}

TEST(HostWatch, AFullDiskIsToldAtOnceAndByTheHostThatHasIt) {
  HostWatch watch(Plan());
  HostUse full = Well("worker-001");
  full.machine = Well("worker-000").machine;  // a machine with two disks
  full.disk = 60 * kGiB;
  full.disk_free = 5 * kGiB;
  const auto told = watch.Look(Beat(0, {Well("worker-000"), full}, 1));
  ASSERT_EQ(told.size(), 1U);
  EXPECT_THAT(told[0].hosts, ElementsAre("worker-001"));
  EXPECT_THAT(told[0].values, ElementsAre("8 % free"));
}

TEST(HostWatch, AnAllowanceThatIsExceededIsNamed) {
  HostWatch watch(Plan());
  HostUse use = Well("worker-002");
  use.exceeded = {{"bw_in", 3}, {"bw_out", 512}};
  const auto told = watch.Look(Beat(0, {use}));
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].kind, "network");
  EXPECT_THAT(told[0].values, ElementsAre("bw_out +512"));
}

TEST(HostWatch, AWatchThatIsStartedAnewSaysNothingTwiceAndTellsTheEnd) {
  HostUse full = Well("worker-001");
  full.disk_free = 1 * kGiB;
  const auto told = HostWatch(Plan()).Look(Beat(0, {full}));
  ASSERT_EQ(told.size(), 1U);
  HostWatch next(Plan(), told);
  EXPECT_THAT(next.Look(Beat(60, {full})), IsEmpty());
  const auto over = next.Look(Beat(70, {Well("worker-001")}));
  ASSERT_EQ(over.size(), 1U);
  EXPECT_TRUE(over[0].over);
}

TEST(HostWatch, WhoDoesNotAnswerIsNeitherWellNorInTrouble) {
  HostWatch watch(Plan());
  HostUse full = Well("worker-001");
  full.disk_free = kGiB;
  EXPECT_EQ(watch.Look(Beat(0, {full})).size(), 1U);
  HostUse silent = Well("worker-001");
  silent.answers = false;
  EXPECT_THAT(watch.Look(Beat(60, {silent})), IsEmpty());
}

TEST(HostWatch, BeforeTheLoadEverythingIsToldAtOnce) {
  HostWatch watch(Plan());
  HostUse low = Well("worker-001");
  low.memory_available = kGiB / 2;
  low.disk_free = 2 * kGiB;
  const auto told = watch.Before(
      {{Well("worker-000"), 1'048'576}, {Stolen("worker-002", 0.3), 1024}, {low, 0}}, 5000);
  ASSERT_EQ(told.size(), 4U);
  EXPECT_EQ(told[0].kind, "steal");
  EXPECT_EQ(told[1].kind, "memory");
  EXPECT_THAT(told[1].values, ElementsAre("6 %"));
  EXPECT_EQ(told[2].kind, "disk");
  EXPECT_EQ(told[3].kind, "files");
  EXPECT_THAT(told[3].hosts, ElementsAre("worker-002"));
  EXPECT_THAT(told[3].values, ElementsAre("1024"));
}

TEST(HostNeeds, AHostIsRefusedOnlyIfItCannotBeEnough) {
  const HostNeeds needs = NeedsOf(Plan(), 0);
  HostUse use = Well("worker-000");
  EXPECT_EQ(CannotBe(needs, use), "");
  use.disk_free = needs.least_disk(use.disk);
  EXPECT_EQ(CannotBe(needs, use), "");
  use.disk_free -= 1;
  EXPECT_THAT(CannotBe(needs, use), HasSubstr("beside the 5.0 GiB that store.disk_reserve keeps"));
  use = Well("worker-000");
  use.memory_available = needs.memory_bytes - 1;
  EXPECT_THAT(CannotBe(needs, use), HasSubstr("of memory are available"));
  // The control host has no store, and of another service nothing is known.
  use = Well("control");
  use.disk_free = 300 << 20;
  EXPECT_EQ(CannotBe(ControlNeeds(), use), "");
  use.disk_free = 200 << 20;
  EXPECT_THAT(CannotBe(ControlNeeds(), use), HasSubstr("of disk are free"));
  FleetPlan other = Plan();
  other.service.serve = {"nginx"};
  EXPECT_EQ(CannotBe(HostWatch(other).needs("worker-000"), use), "");
}

TEST(Notices, AreBoundedAndSayThatThereIsMore) {
  std::vector<Notice> all;
  for (int i = 0; i < 300; ++i) AddNotices(&all, {{i, "disk", false, "t", {"w"}, {"1 %"}}});
  ASSERT_EQ(all.size(), kMaxNotices);
  EXPECT_EQ(all.back().text, "there is more than is told here");
}

TEST(Notices, ASummaryCountsThemAndWhatGoesOn) {
  EXPECT_EQ(NoticesText({}), "");
  const std::vector<Notice> all = {{1000, "disk", false, "full", {"a", "b"}, {"1 %", "2 %"}},
                                   {2000, "steal", false, "stolen", {"a"}, {"30 %"}},
                                   {3000, "disk", true, "room again", {"a", "b"}, {}}};
  const std::string text = NoticesText(all);
  EXPECT_THAT(text, HasSubstr("2 warnings, 1 going on\n"));
  EXPECT_THAT(text, HasSubstr("  full\n            a 1 %, b 2 %\n"));
  EXPECT_THAT(text, HasSubstr("  over: room again\n            a, b\n"));
  EXPECT_EQ(NoticeLine(all[1]), "00:00:02 stolen: a 30 %");
}

// The monitor's record, as it grows.
class HealthTest : public ::testing::Test {
 protected:
  void Write(const std::string& text) { std::ofstream(series_, std::ios::app) << text; }
  static std::string Sample(int s, const std::string& host, double free) {
    return monitor::ToLine(monitor::Sample{static_cast<std::uint64_t>(s) * 1000,
                                           "cell-0",
                                           0,
                                           {"cell"},
                                           "10.0.2.20:9500",
                                           1,
                                           "",
                                           {{"host_machine{host=\"" + host + "\"}", 5},
                                            {"host_disk_bytes{state=\"total\"}", 100.0 * kGiB},
                                            {"host_disk_bytes{state=\"free\"}", free * kGiB}}});
  }
  static std::string Load(int s, double delivered) {
    return monitor::ToLine(
        monitor::Sample{static_cast<std::uint64_t>(s) * 1000,
                        "drive-0",
                        0,
                        {"load"},
                        "10.0.2.20:9100",
                        1,
                        "",
                        {{"drive_messages", 100}, {"drive_delivered_total", delivered}}});
  }
  static std::string End(int s) {
    monitor::Beat beat;
    beat.ms = static_cast<std::uint64_t>(s) * 1000;
    return monitor::ToLine(beat);
  }
  // That has come to this step.
  static Journey At(Step step) {
    Journey j = NewJourney("r", {"worker-000"}, 0);
    for (std::size_t i = 0; i < static_cast<std::size_t>(step); ++i) {
      for (Task& task : j.steps[i]) task.state = State::kDone;
    }
    return j;
  }

  const TempFolder temp_;
  const std::string series_ = temp_.path() + "/series.jsonl";
};

TEST_F(HealthTest, ReadsBeatByBeatWhatIsNewInTheRecord) {
  Write(Sample(1, "old", 1) + End(1));
  HostBeats beats(series_);
  EXPECT_THAT(beats.New(), IsEmpty());  // an earlier controller's
  const std::string second = Load(20, 40) + Sample(20, "worker-000", 70) + End(20);
  Write(Sample(10, "worker-000", 80) + Load(10, 25) + End(10) + second.substr(0, 50));
  auto found = beats.New();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].at_ms, 10'000);
  EXPECT_EQ(found[0].done, 0.25);
  ASSERT_EQ(found[0].hosts.size(), 1U);
  EXPECT_EQ(found[0].hosts[0].disk_free, 80 * kGiB);
  Write(second.substr(50) + End(30));
  found = beats.New();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].done, 0.4);
  EXPECT_TRUE(found[0].hosts[0].answers);
  EXPECT_FALSE(found[1].hosts[0].answers);
}

TEST_F(HealthTest, TellsOfHostsBeforeTheLoadAndWhileItGoesOn) {
  Health health(Plan(), series_, {});
  HostUse low = Well("worker-000");
  low.memory_available = kGiB / 2;
  EXPECT_EQ(health.Ready({low, 0}), "");
  EXPECT_THAT(health.Look(At(Step::kDeploy), 1000), IsEmpty());  // others may still tell
  const auto before = health.Look(At(Step::kImport), 2000);
  ASSERT_EQ(before.size(), 1U);
  EXPECT_EQ(before[0].kind, "memory");
  Write(Sample(10, "worker-000", 5) + End(10));
  EXPECT_THAT(health.Look(At(Step::kImport), 10'000), IsEmpty());
  const auto during = health.Look(At(Step::kRun), 11'000);
  ASSERT_EQ(during.size(), 1U);
  EXPECT_EQ(during[0].kind, "disk");
  EXPECT_THAT(health.Look(At(Step::kVerify), 20'000), IsEmpty());
}

TEST_F(HealthTest, WithoutARecordNothingIsSaid) {
  Health health(Plan(), series_ + ".none", {});
  EXPECT_THAT(health.Look(At(Step::kRun), 1000), IsEmpty());
}

}  // namespace
}  // namespace baiwan::fleet
