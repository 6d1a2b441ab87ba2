// What providers are asked and what their answers mean; providers of the tests' own, as scripts.
#include "fleet/provider.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/testing/temp_folder.h"

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

}  // namespace
}  // namespace baiwan::fleet
