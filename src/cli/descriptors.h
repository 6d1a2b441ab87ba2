// What a process may open, shared out: first itself, then its stores, then links, then clients.
//
// A store that finds no descriptor ends its process, and a link that finds none stops the messages
// of a whole cell, while a client that finds none tries again. So the operating system's limit is
// divided once, at the start: stores and links get what they need, clients what is left, and each
// loop accepts no more than its part. Where not even the least is there, the process does not
// start.
//
// Threads: any; pure but for DescriptorLimit. Failure: a sentence with the way out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/config.h"
#include "base/result.h"
#include "net/http.h"
#include "net/transport.h"

namespace baiwan::cli {

// What this process, or one like it that is started here, may open at a time.
std::uint64_t DescriptorLimit();

struct DescriptorShares {
  std::uint64_t limit = 0;
  std::uint64_t program = 0;     // standard files, loops, timers, what is read now and then
  std::uint64_t stores = 0;      // how many of them
  std::uint64_t tables = 0;      // RocksDB's, of one store; 0: there is none
  std::uint64_t dialed = 0;      // links and questions that one cell has towards others
  std::uint64_t links = 0;       // that one listener of a cell accepts, half done or whole
  std::uint64_t handshakes = 0;  // of these, half done
  std::uint64_t wanted = 0;      // gateway.max_connections
  std::uint64_t clients = 0;     // of one cell's gateway; at most what is wanted
  std::uint64_t lingering = 0;   // of one loop
  std::uint64_t accepted = 0;    // of one loop: clients, links and what lingers

  bool fits() const { return clients >= wanted; }
  // In one line.
  std::string ToString() const;
  // What to change, if not all that is wanted fits.
  std::string WayOut() const;
};

// Of a process that serves cells as `config` says.
Result<DescriptorShares, std::string> ShareDescriptors(const Config& config, std::uint64_t limit);

// Of a process that has an HTTP server beside `own` descriptors, with at most the connections that
// `http` has.
void ShareSockets(std::uint64_t limit, std::uint64_t own, net::LoopOptions* loop,
                  net::HttpLimits* http);

}  // namespace baiwan::cli
