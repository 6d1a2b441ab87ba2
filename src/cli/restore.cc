#include <fmt/format.h>

#include <memory>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/store_identity.h"
#include "store/engine/rocksdb_kv.h"

namespace baiwan::cli {
namespace {

int Run(const std::vector<std::string>& paths) {
  const auto log = MakeStderrLog("restore");
  for (const std::string& path : paths) {
    if (!IsStore(path)) {
      return Fail(fmt::format("there is no store in {}: give the folder that was put back", path));
    }
    auto kv = store::OpenRocksDb(path, {}, nullptr, *log);
    if (!kv)
      return Fail(fmt::format("the store {} cannot be opened: {}", path, Message(kv.error())));
    const auto stored = store::BeginLife(**kv, RandomId());
    if (!stored && stored.error() == store::StoreError::kVersion) {
      return Fail(fmt::format(
          "the store {} is of a format that does not say whose it is, or of a newer program: the "
          "older one gets a life of its own when it is served for the first time",
          path));
    }
    if (!stored) {
      return Fail(fmt::format("the store {} cannot be changed: {}", path, Message(stored.error())));
    }
    Print(fmt::format("{}, {}, has a life of its own now, and asks other cells for what it lacks\n",
                      path, stored->ToString()));
  }
  return Finish(kDone);
}

}  // namespace

Command RestoreCommand() {
  return {"restore",
          "Says that a stopped store was put back from a copy, in place of one that is gone.",
          "  baiwan restore --store data\n"
          "  baiwan restore --store data/loop-0 --store data/loop-1\n",
          [](Args& args) {
            auto paths = std::make_shared<std::vector<std::string>>();
            args.Texts("--store", paths.get(), "the folder of a stopped store; may be repeated");
            args.Required("--store");
            return [paths] { return Run(*paths); };
          }};
}

}  // namespace baiwan::cli
