#include "base/file.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/testing/temp_folder.h"

namespace baiwan {
namespace {

class FileTest : public ::testing::Test {
 protected:
  const TempFolder temp_;
  const std::string dir_ = temp_.path();
};

TEST_F(FileTest, AReplacedFileHoldsTheNewContentAndNothingIsLeftBesideIt) {
  const std::string path = dir_ + "/state";
  EXPECT_EQ(ReplaceFile(path, "one"), std::nullopt);
  EXPECT_EQ(ReplaceFile(path, "two, longer"), std::nullopt);
  EXPECT_EQ(*ReadFile(path), "two, longer");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_), {}), 1);
}

TEST_F(FileTest, ErrorsNameTheFileAndTheReason) {
  const auto missing = ReadFile(dir_ + "/none");
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.error().find("/none: No such file"), std::string::npos) << missing.error();
  EXPECT_TRUE(ReplaceFile(dir_ + "/no/such", "x").has_value());
}

TEST_F(FileTest, AFileThatIsTooLargeIsRefused) {
  EXPECT_EQ(ReplaceFile(dir_ + "/big", std::string(1000, 'x')), std::nullopt);
  EXPECT_TRUE(ReadFile(dir_ + "/big", 1000).ok());
  EXPECT_FALSE(ReadFile(dir_ + "/big", 999).ok());
}

}  // namespace
}  // namespace baiwan
