// What providers are asked and what their answers mean; providers of the tests' own, as scripts.
#include "fleet/provider.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/testing/temp_folder.h"
#include "fleet/control_crew.h"
#include "fleet/plan_check.h"

namespace baiwan::fleet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FleetProviderTest : public ::testing::Test {
 protected:
  FleetProviderTest() { plan_.run = "night-7"; }

  // A provider that does this with the command in $1.
  ProviderAt Script(const std::string& body) {
    const std::string path = temp_.path() + "/provider";
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    ::chmod(path.c_str(), 0755);
    return {path, temp_.path(), "/var/tmp/state"};
  }
  std::map<std::string, std::string> Carry(Activity& activity) {
    std::map<std::string, std::string> all;
    for (bool ended = false; !ended;) {
      ended = activity.ended();
      for (const HostReport& report : activity.Poll()) {
        all[report.host] = report.failure ? report.failure->why : "done";
      }
    }
    return all;
  }

  FleetPlan plan_;
  const TempFolder temp_;
};

TEST_F(FleetProviderTest, ARequestNamesEveryHostWithItsAddressAndSubnet) {
  plan_.hosts.count = 2;
  plan_.deadline = 90 * kSecond;
  const auto request = nlohmann::json::parse(ProviderRequest(plan_, "/var/tmp/state"));
  EXPECT_EQ(request["run"], "night-7");
  EXPECT_EQ(request["state"], "/var/tmp/state");
  EXPECT_EQ(request["deadline_s"], 90);
  ASSERT_EQ(request["hosts"].size(), 3u);
  EXPECT_EQ(request["hosts"][0].dump(),
            R"({"address":"10.0.1.11","name":"control","outside":true,"subnet":"subnet-1"})");
  EXPECT_EQ(request["hosts"][2].dump(),
            R"({"address":"10.0.2.21","name":"worker-001","subnet":"subnet-2"})");
  EXPECT_EQ(request["network"]["subnets"]["subnet-2"], "10.0.2.0/24");
}

TEST_F(FleetProviderTest, AHostThatIsMadeLaterLivesNoLongerThanTheJourney) {
  plan_.deadline = 7200 * kSecond;
  const auto deadline = [&](std::optional<Nanos> left) {
    return nlohmann::json::parse(ProviderRequest(plan_, "/s", left))["deadline_s"].get<int>();
  };
  EXPECT_EQ(deadline(std::nullopt), 7200);
  EXPECT_EQ(deadline(7199 * kSecond), 7200);
  EXPECT_EQ(deadline(600 * kSecond), 630);
  EXPECT_EQ(deadline(-5 * kSecond), 60);
  auto rest = nlohmann::json::parse(ProviderRequest(plan_, "/s", 600 * kSecond));
  rest["deadline_s"] = 7200;
  EXPECT_EQ(rest.dump(), ProviderRequest(plan_, "/s")) << "it is the same request otherwise";
}

// A worker that was lost and is made anew, on the control host.
TEST_F(FleetProviderTest, UpIsAskedWithWhatIsLeft) {
  const auto at = Script("cat >" + temp_.path() + "/asked; echo '{\"hosts\":[]}'");
  ControlCrewOptions options;
  options.provider = at;
  ControlCrew crew(plan_, options);
  const auto up = crew.Begin(Step::kUp, {"worker-000"}, 600 * kSecond);
  EXPECT_THAT(Carry(*up), ElementsAre(std::pair("worker-000", "done")));
  EXPECT_EQ(nlohmann::json::parse(*ReadFile(temp_.path() + "/asked"))["deadline_s"], 630);
}

TEST_F(FleetProviderTest, EachProviderIsAskedWithWhatOnlyItKnows) {
  plan_.aws.ssh_config = "/home/operator/bastion";
  plan_.netns.init = "systemd";
  EXPECT_EQ(nlohmann::json::parse(ProviderRequest(plan_, "/s"))["options"].dump(),
            R"({"init":"systemd"})");
  plan_.provider = "aws";
  const auto options = nlohmann::json::parse(ProviderRequest(plan_, "/s"))["options"];
  EXPECT_EQ(options["ssh_config"], "/home/operator/bastion");
  EXPECT_FALSE(options.contains("image")) << "what is empty is the provider's own choice";
}

TEST_F(FleetProviderTest, EachHostIsDoneWhenItIsReadyAndTheOthersAtTheEnd) {
  const auto at = Script(R"(cat >/dev/null
echo '{"event":"ready","host":"control","text":""}' >&2
echo '{"event":"warning","host":"worker-000","text":"slow"}' >&2
echo '{"hosts":[]}')");
  const auto up = ProviderStep(at, plan_, Step::kUp, {"control", "worker-000"});
  EXPECT_THAT(Carry(*up),
              ElementsAre(std::pair("control", "done"), std::pair("worker-000", "done")));
}

TEST_F(FleetProviderTest, AFailureIsThatOfTheHostsThatWereNotReady) {
  const auto at = Script(R"(cat >/dev/null
echo '{"event":"ready","host":"control","text":""}' >&2
echo '{"error":"no capacity","host":"worker-000","command":"run-instances","log_tail":"x"}'; exit 1)");
  const auto up = ProviderStep(at, plan_, Step::kUp, {"control", "worker-000"});
  EXPECT_THAT(Carry(*up), ElementsAre(std::pair("control", "done"),
                                      std::pair("worker-000", "worker-000: no capacity")));
  const auto broken =
      ProviderStep(Script("echo oh dear >&2; exit 7"), plan_, Step::kDown, {"control"});
  EXPECT_THAT(Carry(*broken),
              ElementsAre(std::pair("control", "the provider ended without an answer")));
}

TEST_F(FleetProviderTest, OnlyAWrongRequestIsRefusedAndHasChangedNothing) {
  for (const int code : {1, 2, 7}) {
    const auto at =
        Script(fmt::format("cat >/dev/null; echo '{{\"error\":\"no\"}}'; exit {}", code));
    const auto up = ProviderStep(at, plan_, Step::kUp, {"control"});
    std::vector<HostReport> reports;
    while (reports.empty()) reports = up->Poll();
    ASSERT_TRUE(reports[0].failure);
    EXPECT_EQ(reports[0].failure->refused, code == 2) << code;
    EXPECT_EQ(reports[0].failure->final, code == 2) << code;
  }
}

TEST_F(FleetProviderTest, WhatItDescribesIsReadAndAnythingElseRefused) {
  const auto at = Script(R"(cat >/dev/null; echo '{"hosts":[{"name":"control","state":"running",
"ssh":["ssh","root@10.0.1.11"]},{"name":"worker-000","state":"ended","disk_kept":true}],
"ssh_key":"/k","known_hosts":"/h"}')");
  const auto found = Describe(at, plan_, 10 * kSecond);
  ASSERT_TRUE(found.ok()) << found.error();
  EXPECT_EQ(found->ssh_key, "/k");
  EXPECT_THAT(found->Find("control")->ssh, ElementsAre("ssh", "root@10.0.1.11"));
  EXPECT_EQ(found->Find("worker-000")->state, "ended");
  EXPECT_TRUE(found->Find("worker-000")->disk_kept);
  EXPECT_EQ(found->Find("worker-001"), nullptr);
  for (const char* bad : {"", "[]", "{}", R"({"hosts":7})", "\xff"}) {
    EXPECT_FALSE(ParseDescribed(bad).ok()) << bad;
  }
  EXPECT_THAT(ParseDescribed(R"({"hosts":[7,null,{"ssh":[1]}]})")->hosts[0].ssh, IsEmpty());
}

TEST_F(FleetProviderTest, WhatIsMissingIsASentenceWithItsPackage) {
  ProviderFacts facts;
  EXPECT_EQ(
      AddFacts(R"({"ok":false,"missing":[{"what":"nft","why":"it makes the firewall","package":
"nftables"}],"memory_mb":100,"disk_mb":200,"cpus":3,"open_files":500})",
               &facts),
      std::nullopt);
  EXPECT_EQ(facts.memory_bytes, 100u << 20);
  EXPECT_EQ(facts.cores, 3u);
  EXPECT_EQ(facts.open_files, 500u);
  EXPECT_THAT(facts.missing, ElementsAre("nft is missing: it makes the firewall; apt-get install "
                                         "nftables"));
  EXPECT_THAT(*AddFacts("nonsense", &facts), HasSubstr("cannot be read"));
}

// Answers `check` with room for any plan, and `price` with five dollars until the deadline.
constexpr const char* kFiveDollars = R"(case $1 in
check) echo '{"ok": true, "missing": [], "shared": false, "memory_mb": 65536, "disk_mb": 65536}' ;;
price) echo '{"currency": "USD", "as_of": "2026-01-31", "region": "us-east-1", "total": 5, "items":
  [{"item": "hosts", "quantity": 50, "unit": "hour", "each": 0.1, "cost": 5}]}' ;;
esac)";

TEST_F(FleetProviderTest, APlanIsCheckedAgainstWhatTheProviderHasAndWhatItCosts) {
  const auto good = CheckWithProvider(Script(kFiveDollars), plan_, {});
  ASSERT_TRUE(good.ok()) << good.error().why;
  EXPECT_EQ(ToText(good->errors), "");
  EXPECT_EQ(good->facts.memory_bytes, 64ULL << 30);
  ASSERT_TRUE(good->price);
  EXPECT_DOUBLE_EQ(good->price->total, 5);

  plan_.budget = 499;
  const auto over = CheckWithProvider(Script(kFiveDollars), plan_, {});
  ASSERT_TRUE(over.ok());
  EXPECT_THAT(ToText(over->errors), HasSubstr("budget: until the deadline"));
  EXPECT_TRUE(over->price);

  plan_.hosts.users_per_host = 10'000'000;  // a plan with mistakes has no price
  const auto large = CheckWithProvider(Script(kFiveDollars), plan_, {});
  ASSERT_TRUE(large.ok());
  EXPECT_THAT(ToText(large->errors), HasSubstr("limits.memory"));
  EXPECT_FALSE(large->price);
}

TEST_F(FleetProviderTest, AProviderThatFailsToCheckIsNoMistakeOfThePlan) {
  const auto gone = CheckWithProvider({temp_.path() + "/none", temp_.path(), ""}, plan_, {});
  ASSERT_FALSE(gone.ok());
  EXPECT_THAT(gone.error().why, HasSubstr("there is no provider"));
  const auto fails =
      CheckWithProvider(Script("echo '{\"error\": \"no credentials\"}'; exit 1"), plan_, {});
  ASSERT_FALSE(fails.ok());
  EXPECT_THAT(fails.error().why, HasSubstr("no credentials"));
  EXPECT_TRUE(fails.error().final);
  const auto later = CheckWithProvider(
      Script("[ $1 = check ] || exit 1\n" + std::string(kFiveDollars)), plan_, {});
  ASSERT_FALSE(later.ok());
  EXPECT_FALSE(later.error().final) << "a price that does not come may come yet";
  const auto mumbles = CheckWithProvider(Script("echo nothing"), plan_, {});
  ASSERT_FALSE(mumbles.ok());
  EXPECT_THAT(mumbles.error().why, HasSubstr("cannot be read"));
}

TEST_F(FleetProviderTest, APackageIsPublishedOrSomebodySaysWhyNot) {
  const auto at = Script(R"(python3 -c 'import json, sys
asked = json.load(sys.stdin)
assert sys.argv[1] == "publish" and asked["run"] == "night-7"
open(asked["link"], "w").write("https://example.org" + asked["file"])' "$1")");
  const std::string link = temp_.path() + "/link";
  EXPECT_EQ(Publish(at, plan_, "/p.tar.gz", link, 20 * kSecond), std::nullopt);
  EXPECT_EQ(*ReadFile(link), "https://example.org/p.tar.gz");
  const auto poor = Script(R"(cat >/dev/null; echo '{"error":"no such bucket"}'; exit 1)");
  EXPECT_EQ(Publish(poor, plan_, "/p.tar.gz", link, 20 * kSecond), "no such bucket");
}

TEST_F(FleetProviderTest, AHostIsLostOnlyIfItIsKnownToBe) {
  ControlCrewOptions options;
  options.provider = Script(R"(cat >/dev/null; echo '{"hosts":[
{"name":"control","state":"unknown"},{"name":"worker-000","state":"running"},
{"name":"worker-001","state":"ended","disk_kept":true},{"name":"worker-002","state":"starting"}]}')");
  const auto lost = ControlCrew(plan_, options).LookForLost();
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_EQ(lost[0].host, "worker-001");
  EXPECT_TRUE(lost[0].disk_kept);
  options.provider = Script("cat >/dev/null; exit 1");
  EXPECT_THAT(ControlCrew(plan_, options).LookForLost(), IsEmpty());
}

}  // namespace
}  // namespace baiwan::fleet
