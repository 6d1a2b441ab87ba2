#include "monitor/processes.h"

#include <fmt/format.h>

#include <algorithm>

namespace baiwan::monitor {

std::string Process::id() const {
  return fmt::format("{}/{:04}/{}", fmt::join(roles, "+"), cell, name);
}

bool Process::has(std::string_view role) const {
  return std::find(roles.begin(), roles.end(), role) != roles.end();
}

std::string Process::kind() const { return roles.size() == 1 ? roles.front() : "cell"; }

std::vector<Process> ProcessesOf(const std::vector<registry::Service>& services,
                                 const std::optional<Endpoint>& registry) {
  std::map<std::string, Process> by_ops;
  for (const registry::Service& service : services) {
    const auto [it, is_new] = by_ops.try_emplace(service.ops().ToString());
    Process& process = it->second;
    if (is_new) {
      process.name = service.name;
      process.cell = service.cell;
      process.endpoint = service.endpoint;
      process.ops = service.ops();
    }
    // A process registers its services in this order: with the first one it is known to be new.
    if (process.incarnation == 0) process.incarnation = service.incarnation;
    if (!process.has(service.role)) process.roles.push_back(service.role);
  }
  if (registry) {
    Process& process = by_ops[registry->ToString()];
    if (process.roles.empty()) {
      process.name = "registry";
      process.endpoint = process.ops = *registry;
    }
    process.roles.emplace_back("registry");
  }
  std::vector<Process> processes;
  processes.reserve(by_ops.size());
  for (auto& [address, process] : by_ops) {
    std::sort(process.roles.begin(), process.roles.end());
    processes.push_back(std::move(process));
  }
  std::sort(processes.begin(), processes.end(),
            [](const Process& a, const Process& b) { return a.id() < b.id(); });
  return processes;
}

ProcessPoll::ProcessPoll(NodeContext& node, const registry::Directory& directory,
                         const PollOptions& options)
    : node_(node), directory_(directory), options_(options) {}

void ProcessPoll::Start(DoneFn done) {
  done_ = std::move(done);
  looks_.clear();
  next_ = 0;
  for (Process& process : ProcessesOf(directory_.services(), options_.registry)) {
    looks_.push_back({std::move(process), {}, {}, 0});
  }
  // Connections to those who are gone are given up.
  std::map<std::string, std::unique_ptr<net::HttpClient>> clients;
  for (const Look& look : looks_) {
    const std::string address = look.process.ops.ToString();
    const auto it = clients_.find(address);
    clients[address] = it != clients_.end() ? std::move(it->second)
                                            : net::HttpClient::Create(node_, look.process.ops);
  }
  clients_ = std::move(clients);
  node_.loop.Post([this, alive = alive_] {
    if (*alive) Next();
  });
}

void ProcessPoll::Next() {
  while (next_ < looks_.size() && under_way_ < options_.at_once) {
    const std::size_t index = next_++;
    ++under_way_;
    clients_.at(looks_[index].process.ops.ToString())
        ->Request("GET", "/metrics", {}, {}, options_.timeout,
                  [this, index](const Result<net::HttpResponse, NetError>& response) {
                    Answered(index, response);
                  });
  }
  if (under_way_ == 0) std::exchange(done_, nullptr)(std::move(looks_));
}

void ProcessPoll::Answered(std::size_t index, const Result<net::HttpResponse, NetError>& response) {
  Look& look = looks_[index];
  --under_way_;
  if (!response) {
    look.error = Message(response.error());
  } else if (response->status != 200) {
    look.bytes = response->body.size();
    look.error = fmt::format("/metrics answers {}", response->status);
  } else {
    look.bytes = response->body.size();
    auto values = ParseMetrics(response->body, options_.limits);
    if (values) {
      look.values = std::move(*values);
    } else {
      look.error = values.error();
    }
  }
  Next();
}

}  // namespace baiwan::monitor
