#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/testing/program.h"
#include "verify/testing/stress_stores.h"

namespace baiwan::cli {
namespace {

using ::testing::HasSubstr;
using verify::testing::StressStores;

class VerifyCommandTest : public ::testing::Test {
 protected:
  // Exit code; what was printed is in `out` and `err`.
  int Run(std::vector<std::string> args) {
    args.insert(args.begin(), {"baiwan", "verify"});
    std::vector<char*> argv;
    argv.reserve(args.size());
    for (std::string& arg : args) argv.push_back(arg.data());
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int code =
        RunCommands("baiwan", "", {VerifyCommand()}, static_cast<int>(argv.size()), argv.data());
    std::fflush(stdout);
    out = ::testing::internal::GetCapturedStdout();
    err = ::testing::internal::GetCapturedStderr();
    return code;
  }
  static std::vector<std::string> Numbers() {
    return {"--cells",         "3", "--users-per-cell",      "10", "--friends-in-cell", "4",
            "--friends-cross", "2", "--messages-per-friend", "3",  "--rounds",          "2",
            "--seed",          "5"};
  }
  std::vector<std::string> Workload() const {
    std::vector<std::string> args = Numbers();
    for (const std::string& path : all.paths()) args.insert(args.end(), {"--store", path});
    return args;
  }
  // The share of the first cell, or of the two others.
  std::vector<std::string> Share(bool first) const {
    std::vector<std::string> args = Numbers();
    args.insert(args.end(), {"--own", first ? "0" : "1-2", "--share-out",
                             all.folder() + (first ? "/share.0" : "/share.1")});
    for (std::size_t cell = 0; cell < 3; ++cell) {
      if ((cell == 0) == first) args.insert(args.end(), {"--store", all.paths()[cell]});
    }
    return args;
  }
  std::vector<std::string> Join() const {
    std::vector<std::string> args = Numbers();
    args.insert(args.end(),
                {"--join", all.folder() + "/share.0", "--join", all.folder() + "/share.1"});
    return args;
  }

  // As WorkloadArgs leaves what cannot be said there.
  static stress::WorkloadSpec Spec() {
    stress::WorkloadSpec spec = StressStores::SmallSpec();
    spec.partitions = stress::WorkloadSpec{}.partitions;
    return spec;
  }
  StressStores all{Spec()};
  std::string out;
  std::string err;
};

TEST_F(VerifyCommandTest, GreenIsZeroAndSaysWhatWasVerified) {
  all.Write({});
  EXPECT_EQ(Run(Workload()), kDone) << out << err;
  EXPECT_THAT(out, HasSubstr("verified 1080 of 1080 messages"));
}

TEST_F(VerifyCommandTest, AMismatchIsOneAndIsNamedAlsoInJson) {
  all.of(all.UserOf(1, 4)).in.pop_back();
  all.Write({false, 3, "", nullptr});
  auto args = Workload();
  EXPECT_EQ(Run(args), kMismatch);
  EXPECT_THAT(out, HasSubstr("lost 1, duplicated 0"));
  args.push_back("--json");
  EXPECT_EQ(Run(args), kMismatch);
  const auto json = nlohmann::json::parse(out);
  EXPECT_EQ(json["mismatches"]["lost"], 1);
  EXPECT_EQ(json["listed"][0]["kind"], "lost");
  EXPECT_EQ(json["verified"], 1079);
  EXPECT_EQ(json["exit_code"], 1);
}

TEST_F(VerifyCommandTest, WhatCannotBeReadIsTwo) {
  EXPECT_EQ(Run(Workload()), kUsage);
  EXPECT_THAT(out, HasSubstr("not verified: there is no store in"));
  EXPECT_EQ(Run({}), kUsage);
  EXPECT_THAT(err, HasSubstr("say what to verify"));
  EXPECT_EQ(Run({"--through-api", "nowhere"}), kUsage);
  EXPECT_THAT(err, HasSubstr("--through-api"));
}

TEST_F(VerifyCommandTest, SharesAreMadeAndJoined) {
  all.Write({});
  EXPECT_EQ(Run(Share(true)), kDone) << out << err;
  EXPECT_THAT(out, HasSubstr("verified 240 of 360 messages"));
  EXPECT_THAT(out, HasSubstr("the share of cell 0 of 3 is in"));
  EXPECT_EQ(Run(Join()), kUsage);
  EXPECT_THAT(out, HasSubstr("not verified: cannot read share"));
  EXPECT_EQ(Run(Share(false)), kDone) << out << err;
  EXPECT_EQ(Run(Join()), kDone) << out << err;
  EXPECT_THAT(out, HasSubstr("verified 1080 of 1080 messages"));
  auto unfinished = Join();
  unfinished.push_back("--unfinished");
  EXPECT_EQ(Run(unfinished), kUsage);
  EXPECT_THAT(out, HasSubstr("was made without --unfinished"));
}

TEST_F(VerifyCommandTest, AMismatchIsOneForItsShareAndForAllTogether) {
  auto& in = all.of(all.UserOf(1, 4)).in;
  in.erase(in.begin());
  all.Renumber(all.UserOf(1, 4));
  all.Write({false, 3, "", nullptr});
  EXPECT_EQ(Run(Share(true)), kDone) << out << err;
  auto args = Share(false);
  args.push_back("--json");
  EXPECT_EQ(Run(args), kMismatch) << out << err;
  EXPECT_EQ(nlohmann::json::parse(out)["mismatches"]["lost"], 1);
  EXPECT_EQ(Run(Join()), kMismatch) << out << err;
  EXPECT_THAT(out, HasSubstr("lost 1, duplicated 0"));
}

TEST_F(VerifyCommandTest, WhatDoesNotGoTogetherIsTwo) {
  const auto refused = [this](std::vector<std::string> args, const std::string& why) {
    EXPECT_EQ(Run(std::move(args)), kUsage);
    EXPECT_THAT(err, HasSubstr(why));
  };
  refused({"--store", "a", "--join", "b"}, "say what to verify");
  refused({"--store", "a", "--own", "0"}, "a share needs both");
  refused({"--store", "a", "--share-out", "b"}, "a share needs both");
  refused({"--join", "a", "--own", "0", "--share-out", "b"}, "a share is made of stopped stores");
  refused({"--join", "a", "--graph", "b"}, "leave out --graph");
  refused({"--join", "a", "--ledger", "b"}, "leave out --ledger");
  for (const char* range : {"-", "1-", "-1", "2-1", "0-1024", "1 2", "x", "0-1-2"}) {
    refused({"--store", "a", std::string("--own=") + range, "--share-out", "b"},
            "is no range of cells");
  }
}

// By a process of its own: the lock of one's own process does not show.
TEST_F(VerifyCommandTest, AStoreThatIsOpenIsNotVerified) {
  all.Write({});
  std::vector<std::string> args = Workload();
  args.insert(args.begin(), "verify");
  all.EditStore(1, [&](store::Kv&) {
    Program verify(all.folder(), args);
    EXPECT_EQ(verify.Wait(60 * kSecond), kUsage);
    EXPECT_THAT(verify.output(), HasSubstr("is open in another process"));
    EXPECT_THAT(verify.output(), HasSubstr("not verified"));
  });
  EXPECT_EQ(Run(Workload()), kDone) << out << err;
}

}  // namespace
}  // namespace baiwan::cli
