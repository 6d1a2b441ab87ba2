// A process's store, held against its settings: a store of another deployment, or of other cells or
// partitions, is refused by name instead of looking as if nobody were in it.
//
// Threads: any one; blocks. Failure: a sentence with the way out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/config.h"
#include "base/log.h"
#include "base/result.h"
#include "store/engine/kv.h"
#include "store/log/identity.h"

namespace baiwan::cli {

// What the store of loop number `loop` is, by the settings.
store::StoreIdentity StoreIdentityOf(const Config& config, std::int64_t loop);
// Whether a store stands in that folder.
bool IsStore(const std::string& folder);
// The number of loops decides where stores stand (store.path itself, or folders in it). What is
// wrong if they stand where another number puts them.
std::optional<std::string> StoreElsewhere(const Config& config);
// Says whose the store is if it is new; gives its life.
Result<std::uint64_t, std::string> IdentifyStore(store::Kv& kv, const Config& config,
                                                 std::int64_t loop, const std::string& path,
                                                 Log& log);
// That a store must not be served, with the way out. `why`: the registry's words.
std::string Disowned(const std::string& path, CellId cell, const std::string& why);
// Of the system's random numbers; 53 bits, so that every JSON reader has it exactly; never 0.
std::uint64_t RandomId();

}  // namespace baiwan::cli
