// What the workload itself costs: it must stay far below what it loads.
#include <benchmark/benchmark.h>

#include <string>

#include "stress/cell_graph.h"
#include "stress/workload.h"

namespace baiwan::stress {
namespace {

void BM_Body(benchmark::State& state) {
  WorkloadSpec spec;
  spec.body_bytes = static_cast<std::uint32_t>(state.range(0));
  spec.text = state.range(1) != 0;
  std::string body;
  Seq n = 0;
  for (auto _ : state) {
    Body(spec, 17, ++n, &body);
    benchmark::DoNotOptimize(body.data());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_Body)->ArgNames({"bytes", "text"})->Args({16, 0})->Args({16, 1})->Args({1024, 0});

void BM_BodyMatches(benchmark::State& state) {
  WorkloadSpec spec;
  std::string body;
  Body(spec, 17, 1, &body);
  for (auto _ : state) benchmark::DoNotOptimize(BodyMatches(spec, 17, 1, body));
}
BENCHMARK(BM_BodyMatches);

// Per message, in order of send ids, making each round.
void BM_Plan(benchmark::State& state) {
  WorkloadSpec spec;
  spec.rounds = 1000;
  const std::vector<UserId> friends(static_cast<std::size_t>(state.range(0)), 1);
  MessagePlan plan(spec, 17, friends);
  Seq n = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(plan.friend_index(n + 1));
    n = (n + 1) % plan.total();
  }
}
BENCHMARK(BM_Plan)->ArgName("friends")->Arg(30)->Arg(5000);

// A whole deployment of a million users, one cell after the other.
void BM_GraphOfAMillion(benchmark::State& state) {
  WorkloadSpec spec;
  spec.cells = static_cast<std::uint32_t>(state.range(0));
  spec.users_per_cell = 1'000'000 / spec.cells;
  if (spec.cells == 1) {
    spec.friends_in_cell = 30;
    spec.friends_cross = 0;
  }
  if (auto wrong = Validate(spec)) return state.SkipWithError(wrong->c_str());
  for (auto _ : state) {
    for (CellId cell = 0; cell < spec.cells; ++cell) {
      benchmark::DoNotOptimize(BuildCellGraph(spec, cell));
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(TotalRelations(spec)));
}
BENCHMARK(BM_GraphOfAMillion)
    ->ArgName("cells")
    ->Arg(1)
    ->Arg(4)
    ->Arg(40)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1);

}  // namespace
}  // namespace baiwan::stress

BENCHMARK_MAIN();
