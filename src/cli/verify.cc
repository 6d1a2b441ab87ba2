#include "verify/verify.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "base/transport.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/workload_args.h"
#include "verify/api.h"
#include "verify/share.h"

namespace baiwan::cli {
namespace {

constexpr std::string_view kExamples =
    "  baiwan verify --store cell0/store --store cell1/store --cells 2 --ledger cell0/ledger\n"
    "  baiwan verify --store store --graph graph.txt --messages-per-friend 5 --json\n"
    "  baiwan verify --through-api 127.0.0.1:9500 --seed 7\n"
    "  baiwan verify --store cell2/store --store cell3/store --own 2-3 --share-out share.2\n"
    "  baiwan verify --join share.0 --join share.2\n";

struct Options {
  verify::VerifyOptions verify;
  std::string gateway;
  std::string own;
  std::string share;
  std::vector<std::string> join;
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
    std::fputs(
        fmt::format("\rverifying: {} of {} messages ({:.0f} %)\x1b[K", done, total, part).c_str(),
        stderr);
  };
}

// What is wrong with what was given together; empty: nothing.
std::string WrongTogether(const Options& o) {
  const int sources =
      (o.verify.stores.empty() ? 0 : 1) + (o.gateway.empty() ? 0 : 1) + (o.join.empty() ? 0 : 1);
  if (sources != 1) {
    return "say what to verify: either the stopped stores of all cells (--store FOLDER, repeated), "
           "or running cells (--through-api HOST:PORT), or the shares of all hosts (--join FILE, "
           "repeated)";
  }
  if (o.own.empty() != o.share.empty()) {
    return "a share needs both: --own FIRST-LAST, whose stores these are, and --share-out FILE";
  }
  if (!o.own.empty() && o.verify.stores.empty()) {
    return "a share is made of stopped stores: give --store FOLDER with --own";
  }
  if (!o.verify.graph_file.empty() && !(o.own.empty() && o.join.empty())) {
    return "shares are of a generated friend graph: leave out --graph";
  }
  if (!o.join.empty() && !o.verify.ledgers.empty()) {
    return "ledgers are compared where shares are made: leave out --ledger";
  }
  return "";
}

Result<verify::VerifyReport, std::string> Verify(const Options& o) {
  if (!o.join.empty()) {
    return verify::JoinShares({o.verify.spec, o.join, o.verify.expect_complete, o.verify.threads});
  }
  if (!o.own.empty()) {
    const auto own = verify::ParseCellRange(o.own);
    if (!own) return "--own: " + own.error();
    return verify::MakeShare({o.verify, *own, o.share});
  }
  if (o.gateway.empty()) return verify::VerifyStores(o.verify);
  const auto entry = ParseEndpoint(o.gateway);
  if (!entry) return "--through-api: " + entry.error();
  return verify::VerifyThroughApi({o.verify, *entry, o.at_a_time});
}

int Run(Options& o) {
  if (const std::string wrong = WrongTogether(o); !wrong.empty()) return Fail(wrong);
  o.verify.expect_complete = !o.unfinished;
  o.verify.progress = ProgressLine();
  const auto report = Verify(o);
  if (!report) return Fail(report.error());
  if (o.verify.progress) std::fputs("\r\x1b[K", stderr);
  Print(o.json ? report->ToJson() + "\n" : report->ToText());
  return report->ExitCode();
}

}  // namespace

Command VerifyCommand() {
  return {
      "verify", "Checks every message of a stress test, in stopped stores or through the API.",
      std::string(kExamples), [](Args& args) {
        auto options = std::make_shared<Options>();
        verify::VerifyOptions& v = options->verify;
        WorkloadArgs(args, &v.spec);
        args.Text("--graph", &v.graph_file,
                  "the friend graph as text, instead of the generated one");
        args.Texts("--store", &v.stores, "the folder of a stopped store; repeat it for all cells");
        args.Texts("--ledger", &v.ledgers, "what a load client was told; may be repeated");
        args.Text("--through-api", &options->gateway,
                  "HOST:PORT of a running gateway or registry, instead of stores");
        args.Text("--own", &options->own,
                  "FIRST-LAST: the stores are of these cells only, those of one host");
        args.Text("--share-out", &options->share,
                  "where to write what the other hosts' cells are compared with, with --own");
        args.Texts("--join", &options->join, "a share; repeat it for all hosts, instead of stores");
        args.Number("--threads", &v.threads, "for stores and shares", 1u, 256u);
        args.Number("--at-a-time", &options->at_a_time, "users read together, through the API", 1u,
                    verify::kMostAtATime);
        args.Flag("--unfinished", &options->unfinished,
                  "the test was stopped: what was not sent or not acknowledged is not missed");
        args.Flag("--json", &options->json, "the result as one JSON object");
        return [options] { return Run(*options); };
      }};
}

}  // namespace baiwan::cli
