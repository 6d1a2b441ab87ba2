// Every setting of every process of a deployment, in one schema: one file can serve all of them,
// each reads its own sections (and `process` and `link`, which are everybody's).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/result.h"
#include "cell/host.h"
#include "cli/args.h"
#include "net/transport.h"
#include "store/engine/rocksdb_kv.h"
#include "store/log/store.h"

namespace baiwan::cli {

struct Shares;  // see cell_loop.h

ConfigSchema Schema();

// --config FILE, --set key=value (repeated), --insecure-no-auth.
struct ConfigArgs {
  std::string file;
  std::vector<std::string> sets;
  bool insecure = false;
};
void AddConfigArgs(Args& args, ConfigArgs* config);
// Reads, and refuses addresses beyond loopback unless --insecure-no-auth was given. `sections`:
// whose addresses count. Errors go to standard error.
Result<Config, int> Load(const ConfigArgs& args, const std::vector<std::string>& sections);

net::LoopOptions LoopOptionsOf(const Config& config);
net::LoopOptions LoopOptionsOf(const Config& config, const Shares& shares);
store::RocksDbOptions RocksDbOptionsOf(const Config& config);
store::StoreOptions StoreOptionsOf(const Config& config);
// Everything but name, cell, roles and addresses.
cell::HostOptions HostOptionsOf(const Config& config);
// What a process proves to the registry; without link.secret_file it has no secret. What is wrong
// with the file, or nothing.
std::optional<std::string> MembershipOf(const Config& config, registry::Membership* member);
// The secret of links; empty with a sentence in `error` if it cannot be read.
std::string LinkSecretOf(const Config& config, std::string* error);

}  // namespace baiwan::cli
