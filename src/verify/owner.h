// Whose a stopped store is, by its own records (docs/formats.md, "Meta"), against the workload and
// against the other stores.
//
// Pure but for reading. Threads: any. Failure: sentences that name the store.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "stress/workload.h"
#include "verify/stopped_store.h"

namespace baiwan::verify {

struct StoreOwner {
  std::string deployment;
  std::uint64_t cells = 0;       // of the deployment
  std::uint64_t partitions = 0;  // of the deployment
  std::uint64_t life = 0;
  std::map<std::uint16_t, std::uint64_t> cells_by_stream;
};

Result<StoreOwner, std::string> ReadStoreOwner(const std::string& path, const StoppedStore& files);
// Why this store cannot hold users of that workload; nothing if it can.
std::optional<std::string> WrongOwner(const std::string& path, const StoreOwner& owner,
                                      const stress::WorkloadSpec& spec);
// What does not fit together: two deployments, one cell in two stores.
// `owners` are in the order of `paths`; nothing where a store does not say whose it is.
std::vector<std::string> OwnersTogether(const std::vector<std::string>& paths,
                                        const std::vector<std::optional<StoreOwner>>& owners);

}  // namespace baiwan::verify
