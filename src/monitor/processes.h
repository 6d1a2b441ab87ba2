// The processes of a deployment, and one look at all of them.
//
// The registry knows services; what can be asked is a process: services with the same ops address
// are one. The registry itself is one more, which nobody registers.
//
// ProcessPoll asks every process for its /metrics, a bounded number at a time, over connections
// that are kept from look to look.
//
// Threads: one loop. Failure: a process that does not answer in time, or with something that is no
// metrics, is in the result with the reason; it keeps none of the others waiting for longer than
// its own timeout.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/node_context.h"
#include "monitor/metrics_text.h"
#include "net/http.h"
#include "registry/directory.h"

namespace baiwan::monitor {

struct Process {
  std::string name;  // of its first service
  CellId cell = 0;
  std::vector<std::string> roles;  // sorted, each once
  Endpoint endpoint;               // of its first service
  Endpoint ops;
  Incarnation incarnation = 0;

  // Who it is, whatever address it has at the moment: "gateway+relay/0000/cell-0". In the order of
  // ids, cells are in the order of their numbers.
  std::string id() const;
  bool has(std::string_view role) const;
  // Its role; "cell" if it has several.
  std::string kind() const;
};

// In the order of their ids.
std::vector<Process> ProcessesOf(const std::vector<registry::Service>& services,
                                 const std::optional<Endpoint>& registry);

struct Look {
  Process process;
  std::string error;  // empty: `values` are there
  Values values;
  std::size_t bytes = 0;  // of the answer
};

struct PollOptions {
  std::optional<Endpoint> registry;  // asked too, if set
  Nanos timeout = 2 * kSecond;       // for one process
  std::size_t at_once = 32;          // requests under way
  MetricsLimits limits;
};

class ProcessPoll {
 public:
  using DoneFn = std::function<void(std::vector<Look>)>;

  // `directory` outlives this.
  ProcessPoll(NodeContext& node, const registry::Directory& directory, const PollOptions& options);
  ~ProcessPoll() { *alive_ = false; }

  // Asks everybody who is known now; `done` is called once, never inside this call. Not while busy.
  void Start(DoneFn done);
  bool busy() const { return done_ != nullptr; }

 private:
  void Next();
  void Answered(std::size_t index, const Result<net::HttpResponse, NetError>& response);

  NodeContext& node_;
  const registry::Directory& directory_;
  const PollOptions options_;
  std::map<std::string, std::unique_ptr<net::HttpClient>> clients_;  // by ops address
  std::vector<Look> looks_;
  std::size_t next_ = 0;
  std::size_t under_way_ = 0;
  DoneFn done_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace baiwan::monitor
