// The stores of a real run, verified in shares as hosts would, and as one.
#include <filesystem>

#include "cli/testing/program.h"

namespace baiwan::cli {
namespace {

constexpr Nanos kLong = 330 * kSecond;  // sanitizers are slow

class ShareTest : public ::testing::Test {
 protected:
  // Exit code of `baiwan <arguments>` with the workload's numbers; `said` is what it printed.
  int Run(std::vector<std::string> arguments) {
    for (const char* number : {"--cells", "4", "--users-per-cell", "50", "--friends-in-cell", "6",
                               "--friends-cross", "4"}) {
      arguments.emplace_back(number);
    }
    Program program(folder_.path(), arguments);
    const auto code = program.Wait(kLong);
    said = program.output();
    return code.value_or(-1);
  }
  std::vector<std::string> OfCells(int first, int last) const {
    std::vector<std::string> arguments = {"verify", "--json"};
    for (int cell = first; cell <= last; ++cell) {
      for (const char* what : {"store", "ledger"}) {
        arguments.push_back(std::string("--") + what);
        arguments.push_back(latest_ + "/" + what + "s/cell-" + std::to_string(cell));
      }
    }
    return arguments;
  }
  int RunShare(int first, int last) {
    auto arguments = OfCells(first, last);
    for (const std::string& more :
         {std::string("--own"), std::to_string(first) + "-" + std::to_string(last),
          std::string("--share-out"), SharePath(first)}) {
      arguments.push_back(more);
    }
    return Run(std::move(arguments));
  }
  std::string SharePath(int first) const {
    return folder_.path() + "/share." + std::to_string(first);
  }
  nlohmann::json Said() const { return nlohmann::json::parse(said); }

  TempFolder folder_;
  const std::string runs_ = folder_.path() + "/runs";
  const std::string latest_ = runs_ + "/latest";
  std::string said;
};

TEST_F(ShareTest, OfARunAndOfAStoreThatWasPutBackGiveWhatAllStoresTogetherGive) {
  ASSERT_EQ(Run({"stress", "--runs", runs_, "--no-report"}), 0) << said;
  const auto expect_same = [&](int code) {
    EXPECT_EQ(Run(OfCells(0, 3)), code) << said;
    const nlohmann::json whole = Said();
    EXPECT_EQ(Run({"verify", "--json", "--join", SharePath(0), "--join", SharePath(2)}), code)
        << said;
    const nlohmann::json joined = Said();
    for (const char* what : {"verified", "expected", "sent", "stored", "delivered", "acknowledged",
                             "users", "relations", "mismatches", "disk_bytes"}) {
      EXPECT_EQ(joined[what], whole[what]) << what;
    }
  };
  EXPECT_EQ(RunShare(0, 1), 0) << said;
  EXPECT_EQ(RunShare(2, 3), 0) << said;
  expect_same(0);
  EXPECT_EQ(Said()["verified"], 4 * 50 * 10 * 5);

  // As it was right after the import.
  std::filesystem::remove_all(latest_ + "/stores/cell-1");
  ASSERT_EQ(Run({"import", "--config", latest_ + "/config/cell-1.toml"}), 0) << said;
  EXPECT_EQ(RunShare(0, 1), 1) << said;
  expect_same(1);
}

}  // namespace
}  // namespace baiwan::cli
