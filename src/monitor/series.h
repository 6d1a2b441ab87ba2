// The series file of a run: what the monitor saw, beat by beat. docs/run-folder.md describes it.
//
// Lines of JSON, appended only: a header at every start of a monitor, then per beat a line for each
// process and one for the beat itself. A crash can tear the last line: a reader passes over what it
// cannot read and counts it, and a writer that finds a torn line begins a new one.
//
// Threads: a SeriesFile belongs to one thread; its writes block, and are small. Failure: a sentence
// with the path and the system's reason. Bounds: a file that has reached its limit takes no more; a
// line is at most kMaxSeriesLine bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/ids.h"
#include "base/result.h"
#include "monitor/metrics_text.h"

namespace baiwan::monitor {

inline constexpr std::uint32_t kSeriesVersion = 1;
inline constexpr std::size_t kMaxSeriesLine = 4 << 20;

struct SeriesHeader {
  std::uint32_t version = kSeriesVersion;
  std::uint64_t ms = 0;  // since 1970, as everywhere here
  std::uint64_t interval_ms = 0;
};
struct Sample {
  std::uint64_t ms = 0;  // of the beat
  std::string name;
  CellId cell = 0;
  std::vector<std::string> roles;
  std::string ops;
  std::uint64_t incarnation = 0;
  std::string error;  // empty, or why there are no values
  Values values;      // those that are not 0
};
struct Beat {
  std::uint64_t ms = 0;
  std::uint32_t alive = 0;     // processes that answered
  std::uint32_t expected = 0;  // of so many
  std::uint64_t fetched = 0;   // bytes, in this beat
  double fetched_per_s = 0;
  double busy = 0;   // of the monitor's machine, 0 … 1
  double steal = 0;  // 0 … 1
};

std::string ToLine(const SeriesHeader& header);
std::string ToLine(const Sample& sample);
std::string ToLine(const Beat& beat);

class SeriesVisitor {
 public:
  virtual ~SeriesVisitor() = default;
  virtual void OnHeader(const SeriesHeader&) {}
  virtual void OnSample(const Sample&) {}
  virtual void OnBeat(const Beat&) {}
};
// One line, without its end. False if it is none of these, or of a version that is not known.
bool VisitLine(std::string_view line, SeriesVisitor& visitor);
// Every line of a file: how many could not be read, or why not at all.
Result<std::uint64_t, std::string> VisitSeries(const std::string& path, SeriesVisitor& visitor);

class SeriesFile {
 public:
  // Makes the file, or goes on with one that is there.
  static Result<std::unique_ptr<SeriesFile>, std::string> Open(const std::string& path,
                                                               std::uint64_t max_bytes);
  // Appends whole lines. The error, or nothing; after an error the file stays usable.
  std::optional<std::string> Append(std::string_view lines);
  std::uint64_t bytes() const { return bytes_; }
  bool full() const { return full_; }

 private:
  SeriesFile(std::string path, std::uint64_t max_bytes, UniqueFd fd)
      : path_(std::move(path)), max_bytes_(max_bytes), fd_(std::move(fd)) {}

  const std::string path_;
  const std::uint64_t max_bytes_;
  UniqueFd fd_;
  std::uint64_t bytes_ = 0;
  bool torn_ = false;  // the last line has no end
  bool full_ = false;
};

}  // namespace baiwan::monitor
