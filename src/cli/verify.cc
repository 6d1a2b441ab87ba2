#include "verify/verify.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "base/transport.h"
#include "cli/commands.h"
#include "cli/workload_args.h"
#include "verify/api.h"

namespace baiwan::cli {
namespace {

constexpr std::string_view kExamples =
    "  baiwan verify --store cell0/store --store cell1/store --cells 2 --ledger cell0/ledger\n"
    "  baiwan verify --store store --graph graph.txt --messages-per-friend 5 --json\n"
    "  baiwan verify --through-api 127.0.0.1:9500 --seed 7\n";

struct Options {
  verify::VerifyOptions verify;
  std::string gateway;
  std::uint32_t at_a_time = verify::ApiOptions{}.at_a_time;
  bool unfinished = false;
  bool json = false;
};

// A line that stays in its place; nothing unless a person looks.
std::function<void(std::uint64_t, std::uint64_t)> ProgressLine() {
  if (isatty(STDERR_FILENO) == 0) return nullptr;
  return [](std::uint64_t done, std::uint64_t total) {
    const double part =
        total > 0 ? 100.0 * static_cast<double>(done) / static_cast<double>(total) : 0;
    fmt::print(stderr, "\rverifying: {} of {} messages ({:.0f} %)\x1b[K", done, total, part);
    std::fflush(stderr);
  };
}

int Run(Options& o) {
  if (o.gateway.empty() == o.verify.stores.empty()) {
    return Fail(
        "say what to verify: either the stopped stores of all cells (--store FOLDER, repeated) or "
        "running cells (--through-api HOST:PORT)");
  }
  o.verify.expect_complete = !o.unfinished;
  o.verify.progress = ProgressLine();
  verify::VerifyReport report;
  if (o.gateway.empty()) {
    report = verify::VerifyStores(o.verify);
  } else {
    const auto entry = ParseEndpoint(o.gateway);
    if (!entry) return Fail("--through-api: " + entry.error());
    report = verify::VerifyThroughApi({o.verify, *entry, o.at_a_time});
  }
  if (o.verify.progress) fmt::print(stderr, "\r\x1b[K");
  fmt::print("{}{}", o.json ? report.ToJson() : report.ToText(), o.json ? "\n" : "");
  return report.ExitCode();
}

}  // namespace

Command VerifyCommand() {
  return {"verify", "Checks every message of a stress test, in stopped stores or through the API.",
          std::string(kExamples), [](Args& args) {
            auto options = std::make_shared<Options>();
            verify::VerifyOptions& v = options->verify;
            WorkloadArgs(args, &v.spec);
            args.Text("--graph", &v.graph_file,
                      "the friend graph as text, instead of the generated one");
            args.Texts("--store", &v.stores,
                       "the folder of a stopped store; repeat it for all cells");
            args.Texts("--ledger", &v.ledgers, "what a load client was told; may be repeated");
            args.Text("--through-api", &options->gateway,
                      "HOST:PORT of a running gateway or registry, instead of stores");
            args.Number("--threads", &v.threads, "for stores", 1u, 256u);
            args.Number("--at-a-time", &options->at_a_time, "users read together, through the API",
                        1u, verify::kMostAtATime);
            args.Flag("--unfinished", &options->unfinished,
                      "the test was stopped: what was not sent or not acknowledged is not missed");
            args.Flag("--json", &options->json, "the result as one JSON object");
            return [options] { return Run(*options); };
          }};
}

}  // namespace baiwan::cli
