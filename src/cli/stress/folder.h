// The folder of one run: made, locked while the run goes on, and rid of old stores.
//
// Threads: one. Failure: a sentence with the way out. The lock is of the kernel (flock), so it ends
// with the process whatever happens; its file goes when the run ends.
#pragma once

#include <memory>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace baiwan::cli {

class RunFolder {
 public:
  // Makes `runs`/<date>-<time> with what a run needs in it, points `runs`/latest to it, and, unless
  // `keep_stores`, removes the stores of runs that have ended.
  static Result<std::unique_ptr<RunFolder>, std::string> Make(const std::string& runs,
                                                              bool keep_stores);
  ~RunFolder();

  const std::string& path() const { return path_; }

 private:
  RunFolder(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  UniqueFd lock_;
};

// Bytes of all files below.
std::uint64_t BytesBelow(const std::string& folder);

}  // namespace baiwan::cli
