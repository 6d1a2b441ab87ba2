// What it takes to serve one cell for a test: a folder, a link secret and a free port.
//
// Threads: the test's. Failure: what cannot be written fails when the program is started.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/testing/temp_folder.h"

namespace baiwan::cli {

class LoneCell {
 public:
  LoneCell();

  // The arguments of `baiwan <words>` for this cell, with such settings ("key=value") as well.
  std::vector<std::string> Arguments(std::vector<std::string> words,
                                     std::vector<std::string> settings = {}) const;
  const std::string& folder() const { return folder_.path(); }
  std::string store() const { return folder_.path() + "/store"; }
  std::uint16_t http() const { return http_; }

 private:
  TempFolder folder_;
  const std::string secret_;
  const std::uint16_t http_;
};

}  // namespace baiwan::cli
