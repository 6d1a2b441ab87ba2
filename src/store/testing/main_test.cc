// The tests' main, which is also the process that some of them start and kill.

#include <gtest/gtest.h>

#include <cstring>

#include "store/testing/crash_writer.h"

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--crash-writer") == 0) {
    return baiwan::store::testing::RunCrashWriter(argv[2]);
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
