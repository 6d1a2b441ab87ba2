// How fast stopped stores are verified: messages a second, each looked at in both boxes.
#include <benchmark/benchmark.h>

#include "verify/testing/stress_stores.h"
#include "verify/verify.h"

namespace baiwan::verify {
namespace {

stress::WorkloadSpec Spec() {
  stress::WorkloadSpec spec;
  spec.users_per_cell = 2500;  // 1.5 million messages
  return spec;
}

void BM_VerifyStores(benchmark::State& state) {
  static testing::StressStores* const stores = [] {
    auto* made = new testing::StressStores(Spec(), 4);
    made->Write({true, 1, "", nullptr});
    return made;
  }();
  VerifyOptions options = stores->options();
  options.threads = static_cast<unsigned>(state.range(0));
  for (auto _ : state) {
    const VerifyReport report = VerifyStores(options);
    if (report.ExitCode() != 0) state.SkipWithError(report.ToText().c_str());
  }
  state.SetItemsProcessed(state.iterations() *
                          static_cast<std::int64_t>(stress::TotalMessages(stores->spec())));
}
BENCHMARK(BM_VerifyStores)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace baiwan::verify

BENCHMARK_MAIN();
