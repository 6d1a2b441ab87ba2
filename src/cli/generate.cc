#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/workload_args.h"
#include "stress/cell_graph.h"
#include "stress/graph_text.h"

namespace baiwan::cli {
namespace {

struct Options {
  stress::WorkloadSpec spec;
  std::string output = "graph.txt";
};

int Run(const Options& o) {
  if (const auto wrong = stress::Validate(o.spec)) return Fail(*wrong);
  std::vector<stress::CellGraph> graphs;
  for (CellId cell = 0; cell < o.spec.cells; ++cell) {
    graphs.push_back(stress::BuildCellGraph(o.spec, cell));
    std::fprintf(stderr, "cell %u of %u: %zu users, %llu relations\n", cell + 1, o.spec.cells,
                 graphs.back().users(), static_cast<unsigned long long>(graphs.back().relations()));
  }
  const placement::PlacementTable table(o.spec.cells, o.spec.partitions);
  if (const auto wrong = stress::WriteGraphText(o.output, graphs, table)) return Fail(*wrong);
  Print(o.output + "\n");
  return kDone;
}

}  // namespace

Command GenerateCommand() {
  return {"generate", "Writes the friend graph of a workload as text (user,friend,cell).",
          "  baiwan generate --cells 4 --users-per-cell 1000 --output graph.txt\n"
          "  baiwan generate --seed 7 --friends-in-cell 3 --friends-cross 2\n",
          [](Args& args) {
            auto options = std::make_shared<Options>();
            WorkloadArgs(args, &options->spec);
            args.Text("--output", &options->output, "the file; replaced if it is there");
            return [options] { return Run(*options); };
          }};
}

}  // namespace baiwan::cli
