// Two processes with copies of one store: never may both serve.
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "cli/testing/program.h"

namespace baiwan::cli {
namespace {

constexpr Nanos kSoon = 20 * kSecond;

class CopiedStoreTest : public ::testing::Test {
 protected:
  CopiedStoreTest() {
    std::ofstream(secret_) << "a secret of this test alone";
    ::chmod(secret_.c_str(), 0600);
    StartRegistry("127.0.0.1:0");
    Program import(folder_.path(),
                   {"import", "--set", "store.path=" + Store("first"), "--cells", "1",
                    "--users-per-cell", "20", "--friends-in-cell", "2", "--friends-cross", "0"});
    EXPECT_EQ(import.Wait(kSoon), 0) << import.output();
    Copy("first", "second");
  }

  std::string Store(const std::string& name) const { return folder_.path() + "/" + name; }
  void Copy(const std::string& from, const std::string& to) {
    std::filesystem::copy(Store(from), Store(to), std::filesystem::copy_options::recursive);
  }
  void StartRegistry(const std::string& at) {
    registry_ = std::make_unique<Program>(
        folder_.path(), std::vector<std::string>{"registry", "--set", "registry.listen=" + at});
    ASSERT_TRUE(Serves(*registry_)) << registry_->output();
    const std::string text = registry_->output();
    const std::string mark = "serves at ";
    const auto begin = text.find(mark) + mark.size();
    registry_at_ = text.substr(begin, text.find_first_of(" \n", begin) - begin);
  }
  std::unique_ptr<Program> Serve(const std::string& store) {
    std::vector<std::string> arguments = {"serve"};
    for (const std::string& set :
         {"link.secret_file=" + secret_, "store.path=" + Store(store),
          std::string("gateway.http=127.0.0.1:0"), std::string("relay.listen=127.0.0.1:0"),
          "registry.endpoint=" + registry_at_}) {
      arguments.push_back("--set");
      arguments.push_back(set);
    }
    return std::make_unique<Program>(folder_.path(), arguments);
  }
  static bool Serves(const Program& program) {
    return Eventually([&] { return program.output().find("serves at") != std::string::npos; },
                      kSoon);
  }
  void ExpectRefused(const std::string& store, const std::string& why) {
    const auto program = Serve(store);
    EXPECT_EQ(program->Wait(kSoon), 2) << program->output();
    EXPECT_NE(program->output().find(why), std::string::npos) << program->output();
    EXPECT_EQ(program->output().find("serves at"), std::string::npos) << program->output();
  }
  static void End(Program& program, int signal = SIGTERM) {
    program.Signal(signal);
    EXPECT_TRUE(program.Wait(kSoon)) << program.output();
  }

  TempFolder folder_;
  const std::string secret_ = folder_.path() + "/link.secret";
  std::unique_ptr<Program> registry_;
  std::string registry_at_;
};

TEST_F(CopiedStoreTest, TheSecondOfTwoCopiesIsRefusedByName) {
  const auto first = Serve("first");
  ASSERT_TRUE(Serves(*first)) << first->output();
  for (int i = 0; i < 3; ++i) ExpectRefused("second", "baiwan restore --store");
  EXPECT_FALSE(first->Wait(0)) << first->output();
  End(*first);
  ExpectRefused("second", "this store is a copy");
}

TEST_F(CopiedStoreTest, AStoreComesBackAtOnceHoweverItEnded) {
  for (const int signal : {SIGKILL, SIGTERM, SIGKILL}) {
    const auto serve = Serve("first");
    ASSERT_TRUE(Serves(*serve)) << serve->output();
    End(*serve, signal);
  }
}

TEST_F(CopiedStoreTest, ACopyThatIsPutBackTakesThePlaceOfWhatIsGone) {
  auto first = Serve("first");
  ASSERT_TRUE(Serves(*first)) << first->output();
  Program restore(folder_.path(), {"restore", "--store", Store("second")});
  ASSERT_EQ(restore.Wait(kSoon), 0) << restore.output();
  ExpectRefused("second", "another store of this cell is being served");
  End(*first);
  const auto second = Serve("second");
  ASSERT_TRUE(Serves(*second)) << second->output();
  ExpectRefused("first", "another store has taken the place");
}

TEST_F(CopiedStoreTest, OneOfTwoThatServeWithoutARegistryEndsWhenItIsBack) {
  registry_->Signal(SIGKILL);
  ASSERT_TRUE(registry_->Wait(kSoon));
  const auto first = Serve("first");
  const auto second = Serve("second");
  ASSERT_TRUE(Serves(*first)) << first->output();
  ASSERT_TRUE(Serves(*second)) << second->output();
  StartRegistry(registry_at_);
  std::optional<int> ended[2];
  ASSERT_TRUE(Eventually(
      [&] {
        if (!ended[0]) ended[0] = first->Wait(0);
        if (!ended[1]) ended[1] = second->Wait(0);
        return ended[0] || ended[1];
      },
      kSoon));
  EXPECT_NE(ended[0].has_value(), ended[1].has_value());
  EXPECT_EQ(ended[0].value_or(2), 2) << first->output();
  EXPECT_EQ(ended[1].value_or(2), 2) << second->output();
}

TEST_F(CopiedStoreTest, WhatIsNoStoreCannotBeRestored) {
  Program nothing(folder_.path(), {"restore", "--store", folder_.path() + "/nowhere"});
  EXPECT_EQ(nothing.Wait(kSoon), 2);
  EXPECT_NE(nothing.output().find("there is no store"), std::string::npos) << nothing.output();
}

}  // namespace
}  // namespace baiwan::cli
