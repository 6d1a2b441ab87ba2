// `baiwan top`: the live board of a running deployment.
#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/runtime.h"
#include "monitor/board_feed.h"
#include "monitor/board_screen.h"
#include "registry/client.h"

namespace baiwan::cli {
namespace {

struct Options {
  std::string registry;
  Nanos interval = 3 * kSecond;
  std::uint32_t expect = 0;
  bool once = false;
  bool json = false;
};

// Rates need two looks, so the first that is shown is the second.
constexpr std::uint64_t kFirstShown = 2;
constexpr Nanos kPatience = kSecond;  // for the registry to say who is there

int Run(const Options& o) {
  const auto registry = ParseEndpoint(o.registry);
  if (!registry) return Fail("--registry: " + registry.error());
  if (o.interval < 100 * kMillisecond) return Fail("--interval: at least 100ms");
  RuntimeOptions runtime_options;
  runtime_options.name = "top";
  auto runtime = Runtime::Create(runtime_options);
  if (!runtime) return Fail(runtime.error());
  net::RealLoop& loop = (*runtime)->loop();
  registry::ClientOptions client;
  client.registry = *registry;
  registry::RegistryClient directory((*runtime)->node(), client);

  monitor::BoardFeedOptions options;
  options.interval = o.once ? std::min(o.interval, kSecond) : o.interval;
  options.expected = o.expect;
  options.poll.registry = *registry;
  monitor::BoardScreen screen(stdout);
  std::unique_ptr<monitor::BoardFeed> feed;
  int code = kDone;
  const auto on_beat = [&] {
    if (feed->beats() < kFirstShown) return;
    const monitor::BoardState& state = feed->state();
    if (state.alive == 0 && feed->beats() == kFirstShown) {
      code = Fail(fmt::format("nobody answers at {}: is the registry running there?", o.registry));
      return loop.Stop();
    }
    if (o.json) {
      if (!Print(monitor::BoardToJson(state))) return loop.Stop();
    } else if (!screen.Draw(state)) {
      return loop.Stop();  // nobody looks any more
    }
    if (o.once) loop.Stop();
  };
  // A first look before anybody is known would be wasted.
  const auto start = [&] {
    if (feed != nullptr) return;
    feed = std::make_unique<monitor::BoardFeed>((*runtime)->node(), directory, options, on_beat);
  };
  directory.Listen(start);
  loop.After(kPatience, start);
  (*runtime)->OnStop([&] { loop.Stop(); });
  (*runtime)->Run();
  return code;
}

}  // namespace

Command TopCommand() {
  return {"top", "Shows the live board of a stress test.",
          "  baiwan top --registry 127.0.0.1:8089\n"
          "  baiwan top --registry 127.0.0.1:8089 --once --json\n",
          [](Args& args) {
            auto options = std::make_shared<Options>();
            args.Text("--registry", &options->registry, "host:port of the registry");
            args.Required("--registry");
            args.Duration("--interval", &options->interval, "between two beats");
            args.Flag("--once", &options->once, "show it once, after a second, and end");
            args.Flag("--json", &options->json, "a line of JSON each beat");
            args.Number("--expect", &options->expect,
                        "processes that should be there; 0: all that were seen", 0U, 1'000'000U);
            return [options] { return Run(*options); };
          }};
}

}  // namespace baiwan::cli
