// Who should be there and who is: "services alive of expected", as processes.
//
// Expected is what the operator says, or else everybody who has been seen. A load client that was
// done when it left the registry is expected no more.
//
// Pure. Bounds: remembers at most kMaxKnown processes.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "monitor/processes.h"

namespace baiwan::monitor {

class RollCall {
 public:
  static constexpr std::size_t kMaxKnown = 10'000;

  // `expected` 0: whoever has been seen.
  explicit RollCall(std::uint32_t expected = 0) : told_(expected) {}

  // `withdrawn`: ids of those who are not listed any more, and are not missed yet.
  void Take(const std::vector<Look>& looks, const std::set<std::string>& withdrawn = {});
  // A load client of this name has ended as it should, whatever the last look at it said.
  void Leave(const std::string& name) { ended_.insert(name); }

  std::uint32_t alive() const { return alive_; }
  std::uint32_t expected() const;
  // Names of those seen before who do not answer now.
  const std::vector<std::string>& missing() const { return missing_; }

 private:
  struct Known {
    std::string name;
    std::string process;  // of the machine, when it answered last
    bool answers = false;
    bool done = false;  // a load client all of whose users are finished
  };

  const std::uint32_t told_;
  std::map<std::string, Known> known_;
  std::set<std::string> ended_;
  std::uint32_t alive_ = 0;   // processes of the machine
  std::uint32_t silent_ = 0;  // likewise, none of whose parts answers
  std::uint32_t left_ = 0;    // load clients that were done and are gone
  std::vector<std::string> missing_;
};

// A load client that has nothing left to do.
bool IsDone(const Values& values);
// Several of those who answer may be one process of the machine: every cell of one that holds
// several.
std::string MachineProcess(const Process& process, const Values& values);

}  // namespace baiwan::monitor
