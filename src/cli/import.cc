#include "stress/import.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "cli/cell_loop.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/output.h"
#include "cli/store_identity.h"
#include "cli/workload_args.h"
#include "stress/cell_graph.h"
#include "stress/graph_text.h"

namespace baiwan::cli {
namespace {

struct Options {
  ConfigArgs config;
  stress::WorkloadSpec spec;
  std::string graph;
  bool over_existing = false;
};

double Seconds(Nanos since) {
  return static_cast<double>(SystemClock().Monotonic() - since) / kSecond;
}

std::optional<std::string> ImportCell(const Options& o, const Config& config, CellId cell,
                                      const stress::CellGraph* everybody, Log& log) {
  const Nanos begin = SystemClock().Monotonic();
  const placement::PlacementTable table = TableOf(config);
  const stress::CellGraph graph = everybody != nullptr ? stress::ShareOf(*everybody, table, cell)
                                                       : stress::BuildCellGraph(o.spec, cell);
  const double generated = Seconds(begin);
  const std::int64_t loop = LoopOf(config, cell);
  const std::string path = StorePathOf(config, loop);
  auto kv = store::OpenRocksDb(path, RocksDbOptionsOf(config), nullptr, log);
  if (!kv) return fmt::format("the store {} cannot be opened: {}", path, Message(kv.error()));
  if (const auto life = IdentifyStore(**kv, config, loop, path, log); !life) return life.error();
  store::RecoveryReport report;
  auto store = store::Store::Open(**kv, StreamOf(cell), StoreOptionsOf(config), &report);
  if (!store) return fmt::format("the store {} cannot be read: {}", path, Message(store.error()));
  stress::ImportOptions options;
  options.over_existing = o.over_existing;
  const bool terminal = isatty(STDERR_FILENO) != 0;
  auto error = stress::ImportUsers(
      **kv, **store, graph, table, options, [&](std::size_t done, std::size_t total) {
        if (!terminal) return;
        std::fprintf(stderr, "\rcell %u: %zu of %zu users", cell, done, total);
      });
  if (terminal) std::fputs("\n", stderr);
  if (error) return error;
  // For whoever started this: who, how many, and how long each part took.
  Print(fmt::format(
      "{{\"cell\":{},\"users\":{},\"relations\":{},\"generate_s\":{:.3f},\"import_s\":{:.3f}}}\n",
      cell, graph.users(), graph.relations(), generated, Seconds(begin) - generated));
  return std::nullopt;
}

int Run(Options o) {
  if (const auto wrong = stress::Validate(o.spec)) return Fail(*wrong);
  const auto config = Load(o.config, {});
  if (!config) return config.error();
  if (!HasRole(*config, "logic") || config->choice("store.engine") != "rocksdb") {
    return Fail("import needs a process with the role logic and store.engine = rocksdb");
  }
  if (auto elsewhere = StoreElsewhere(*config)) return Fail(*elsewhere);
  if (config->integer("cell.cells") != o.spec.cells && o.graph.empty()) {
    return Fail(fmt::format("--cells is {}, but cell.cells is {}: they must be the same",
                            o.spec.cells, config->integer("cell.cells")));
  }
  o.spec.partitions = static_cast<std::uint32_t>(config->integer("cell.partitions"));
  std::optional<stress::CellGraph> everybody;
  if (!o.graph.empty()) {
    auto graph = stress::ReadGraphText(o.graph);
    if (!graph) return Fail(graph.error());
    everybody = std::move(*graph);
  }
  const auto log = MakeStderrLog("import");
  const std::int64_t first = config->integer("cell.first");
  for (std::int64_t k = 0; k < config->integer("cell.count"); ++k) {
    Options each = o;
    // Cells of one loop share a store: only the first of them can find it empty.
    each.over_existing |= k >= config->integer("process.loops");
    const auto error = ImportCell(each, *config, static_cast<CellId>(first + k),
                                  everybody ? &*everybody : nullptr, *log);
    if (error) return Fail(*error);
  }
  return kDone;
}

}  // namespace

Command ImportCommand() {
  return {"import", "Makes the share of a process's cells in the friend graph and stores it.",
          "  baiwan import --set store.path=data --cells 1 --users-per-cell 1000 "
          "--friends-cross 0\n"
          "  baiwan import --config baiwan.toml --graph graph.txt\n",
          [](Args& args) {
            auto options = std::make_shared<Options>();
            AddConfigArgs(args, &options->config);
            WorkloadArgs(args, &options->spec);
            args.Text("--graph", &options->graph, "a graph in the source's text form, instead");
            args.Flag("--over-existing", &options->over_existing,
                      "also into a store that has users; those imported again begin anew");
            return [options] { return Run(*options); };
          }};
}

}  // namespace baiwan::cli
