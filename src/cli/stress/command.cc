#include <memory>

#include "cli/commands.h"
#include "cli/stress/machine.h"
#include "cli/stress/run.h"
#include "cli/workload_args.h"

namespace baiwan::cli {
namespace {

constexpr const char* kExamples =
    "  baiwan stress                                   # 4 cells × 1,000 users, 600,000 messages\n"
    "  baiwan stress --users-per-cell 10000 --rounds 2 # longer\n"
    "  baiwan stress --protocol http --concurrency 400 # one request per message\n"
    "  baiwan stress --rate 50000                      # open loop: latency from planned times\n"
    "  baiwan stress --layout role --json              # a process per role; result on stdout\n"
    "Exit codes: 0 verified, 1 mismatch, 2 usage or environment, 3 deadline or interrupted,\n"
    "4 verified, but the load was not as planned (--rate), so that latency is not valid.\n";

}  // namespace

Command StressCommand() {
  return {"stress", "Runs the whole stress test on this machine and verifies every message.",
          kExamples, [](Args& args) {
            auto o = std::make_shared<StressOptions>();
            WorkloadArgs(args, &o->spec);
            args.Choice("--protocol", &o->protocol, {"ws", "http"}, "how clients talk");
            args.Number("--concurrency", &o->drive.concurrency,
                        "users of each cell that play at a time", 1, 1'000'000);
            args.Number("--messages-per-frame", &o->drive.messages_per_frame, "at most", 1, 1024);
            args.Number("--in-flight", &o->drive.in_flight, "messages of a user not yet stored", 1,
                        1024);
            args.Real("--rate", &o->rate,
                      "messages a second of all cells, open loop; 0: as fast as they are stored", 0,
                      1e9);
            args.Choice("--layout", &o->layout, {"cell", "role", "single"},
                        "a process per cell, per role, or one");
            args.Text("--runs", &o->runs, "folder for the run folders");
            args.Flag("--keep", &o->keep, "keep the stores of earlier runs too");
            args.Flag("--json", &o->json, "the result as JSON on standard output");
            args.Flag("--no-report", &o->no_report, "no pictures");
            args.Duration("--deadline", &o->deadline, "of the run; 0: from the number of messages");
            args.Number("--registry-port", &o->registry_port, "0: a free one", 0, 65535);
            args.Duration("--monitor-interval", &o->monitor_interval, "between two samples");
            args.Texts("--set", &o->sets, "a setting of every process, key=value; repeatable");
            return [o] { return StressRun(*o, [o] { return ThisMachine(o->runs); }).Run(); };
          }};
}

}  // namespace baiwan::cli
