// Serving cells by hand: what is refused, and how a process stops.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "cli/revision.h"
#include "cli/testing/program.h"

namespace baiwan::cli {
namespace {

constexpr Nanos kSoon = 20 * kSecond;

class ServeTest : public ::testing::Test {
 protected:
  ServeTest() { WriteSecret(0600); }

  void WriteSecret(mode_t mode) {
    std::ofstream(secret_) << "a secret of this test alone";
    ::chmod(secret_.c_str(), mode);
  }
  std::vector<std::string> Command(const std::string& name, std::vector<std::string> more = {}) {
    std::vector<std::string> all = {name};
    for (const std::string& set :
         {"link.secret_file=" + secret_, "store.path=" + folder_.path() + "/store",
          std::string("gateway.http=127.0.0.1:0"), std::string("relay.listen=127.0.0.1:0"),
          std::string("registry.endpoint=127.0.0.1:1")}) {
      all.push_back("--set");
      all.push_back(set);
    }
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  void ExpectRefused(std::vector<std::string> arguments, const std::string& what) {
    Program program(folder_.path(), std::move(arguments));
    EXPECT_EQ(program.Wait(kSoon), 2) << program.output();
    EXPECT_NE(program.output().find(what), std::string::npos) << program.output();
  }
  bool Serves(const Program& program) {
    return Eventually([&] { return program.output().find("serves at") != std::string::npos; },
                      kSoon);
  }

  TempFolder folder_;
  const std::string secret_ = folder_.path() + "/link.secret";
};

TEST_F(ServeTest, StopsInGoodOrderOnASignal) {
  Program program(folder_.path(), Command("serve"));
  ASSERT_TRUE(Serves(program)) << program.output();
  EXPECT_EQ(program.output().find("a secret of this test"), std::string::npos);
  program.Signal(SIGTERM);
  EXPECT_EQ(program.Wait(kSoon), 0) << program.output();
}

TEST_F(ServeTest, ASecretThatOthersCanReadIsRefused) {
  WriteSecret(0644);
  ExpectRefused(Command("serve"), "chmod 600");
  std::filesystem::remove(secret_);
  ExpectRefused(Command("serve"), "make one with");
  ExpectRefused({"serve"}, "link.secret_file is not set");
}

TEST_F(ServeTest, AddressesThatOthersCanReachNeedConsent) {
  for (const char* key : {"gateway.http", "relay.listen", "logic.listen", "ops.listen"}) {
    const std::string set = std::string(key) + "=0.0.0.0:0";
    ExpectRefused(Command("serve", {"--set", set}), "--insecure-no-auth");
  }
  ExpectRefused({"registry", "--set", "registry.listen=0.0.0.0:0"}, "--insecure-no-auth");
  ExpectRefused({"registry", "--set", "registry.listen=0.0.0.0:0", "--insecure-no-auth"},
                "set link.secret_file");
  ExpectRefused({"drive", "--set", "ops.listen=0.0.0.0:0"}, "--insecure-no-auth");
  ExpectRefused({"monitor", "--registry", "127.0.0.1:1", "--listen", "0.0.0.0:0"},
                "--insecure-no-auth");
  Program program(folder_.path(), {"registry", "--set", "registry.listen=0.0.0.0:0", "--set",
                                   "link.secret_file=" + secret_, "--insecure-no-auth"});
  ASSERT_TRUE(Serves(program)) << program.output();
  EXPECT_NE(program.output().find("WITHOUT AUTHENTICATION"), std::string::npos);
}

TEST_F(ServeTest, AStoreHasOneOwner) {
  Program first(folder_.path(), Command("serve"));
  ASSERT_TRUE(Serves(first)) << first.output();
  ExpectRefused(Command("serve"), "cannot be opened");
}

TEST_F(ServeTest, AStoreOfOtherCellsPartitionsOrDeploymentIsRefused) {
  const auto with = [](std::vector<std::string> arguments, const std::vector<std::string>& sets) {
    for (const std::string& set : sets) {
      arguments.push_back("--set");
      arguments.push_back(set);
    }
    return arguments;
  };
  const std::vector<std::string> made = {"cell.cells=3", "cell.count=3"};
  Program import(folder_.path(),
                 with(Command("import", {"--cells", "3", "--users-per-cell", "60",
                                         "--friends-in-cell", "2", "--friends-cross", "0"}),
                      made));
  ASSERT_EQ(import.Wait(kSoon), 0) << import.output();
  const auto refused = [&](const std::vector<std::string>& sets, const std::string& what) {
    ExpectRefused(with(with(Command("serve"), made), sets), what);
  };
  refused({"cell.partitions=128"}, "set cell.partitions = 256");
  refused({"cell.cells=4"}, "set cell.cells = 3");
  refused({"deployment.name=another"}, "set deployment.name = baiwan");
  refused({"process.loops=2"}, "set process.loops = 1");
  refused({"cell.count=2"}, "cell.count");
  refused({"cell.count=2", "cell.first=1"}, "holding cells 0 1 2");
  // Nothing of that has changed the store.
  Program serve(folder_.path(), with(Command("serve"), made));
  EXPECT_TRUE(Serves(serve)) << serve.output();
}

TEST_F(ServeTest, AStoreOfAnotherNumberOfLoopsIsRefused) {
  const auto command = [&](const std::string& loops, const std::string& count) {
    return Command("serve", {"--set", "cell.cells=3", "--set", "cell.count=" + count, "--set",
                             "process.loops=" + loops});
  };
  {
    Program serve(folder_.path(), command("2", "3"));
    ASSERT_TRUE(Serves(serve)) << serve.output();
    serve.Signal(SIGTERM);
    ASSERT_EQ(serve.Wait(kSoon), 0) << serve.output();
  }
  ExpectRefused(command("1", "3"), "set process.loops = 2");
  ExpectRefused(command("3", "3"), "process.loops");
  Program serve(folder_.path(), command("2", "3"));
  EXPECT_TRUE(Serves(serve)) << serve.output();
}

TEST_F(ServeTest, WrongSettingsAreAllToldAtOnce) {
  Program program(folder_.path(),
                  Command("serve", {"--set", "cell.frist=1", "--set", "logic.window_messages=0"}));
  EXPECT_EQ(program.Wait(kSoon), 2);
  EXPECT_NE(program.output().find("did you mean cell.first?"), std::string::npos);
  EXPECT_NE(program.output().find("logic.window_messages"), std::string::npos);
}

TEST_F(ServeTest, TheProgramSaysWhatItIs) {
  Program program(folder_.path(), {"--version"});
  EXPECT_EQ(program.Wait(kSoon), 0);
  const std::string text = program.output();
  EXPECT_EQ(text,
            fmt::format("baiwan {}, revision {}, build {}\n", Version(), Revision(), BuildType()));
  EXPECT_EQ(text.find(" ,"), std::string::npos) << "nothing is empty";
}

TEST_F(ServeTest, ConfigCheckFindsWhatDoesNotFitTogether) {
  const auto file = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder_.path() + "/" + name) << text;
    return folder_.path() + "/" + name;
  };
  const std::string a = file("a.toml", "[gateway]\nhttp = \"127.0.0.1:9500\"\n");
  const std::string b = file(
      "b.toml", "[gateway]\nhttp = \"127.0.0.1:9500\"\n[relay]\nlisten = \"127.0.0.1:11001\"\n");
  ExpectRefused({"config", "check", "--file", a, "--file", b}, "give one of them another port");
  // Everything at once, and nothing that only follows from it.
  const std::string wrong = file("wrong.toml", "[gateway]\nhttp = 9500\n");
  Program all(folder_.path(),
              {"config", "check", "--file", wrong, "--file", a, "--file", b, "--file", a});
  EXPECT_EQ(all.Wait(kSoon), 2);
  const std::string told = all.output();
  for (const char* what :
       {"wrong.toml:2:8", "a.toml: is given more than once", "b.toml: gateway.http: 127.0.0.1:9500",
        "b.toml: cell.first: cell 0", "b.toml: store.path: store is the store of"}) {
    EXPECT_NE(told.find(what), std::string::npos) << what << "\n" << told;
  }
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 5) << told;
  // Processes of one deployment, as they should be: a registry, and cells of two ports each.
  const std::string r =
      file("r.toml", "[cell]\ncells = 4\n[registry]\nlisten = \"127.0.0.1:8089\"\n");
  const std::string d = file("d.toml", "[cell]\ncells = 4\ncount = 2\n[store]\npath = \"d\"\n");
  const std::string e = file("e.toml",
                             "[cell]\ncells = 4\nfirst = 2\ncount = 2\n[store]\npath = \"e\"\n"
                             "[gateway]\nhttp = \"127.0.0.1:9502\"\n"
                             "[relay]\nlisten = \"127.0.0.1:11001\"\n");
  ExpectRefused({"config", "check", "--file", r, "--file", d, "--file", e},
                "127.0.0.1:11001 (to 11002) is taken by relay.listen of " + d);
  const std::string c = file("c.toml", "[process]\nmemory = \"1000GiB\"\n");
  ExpectRefused({"config", "check", "--file", c}, "of memory together");
  Program good(folder_.path(), {"config", "check", "--file", a});
  EXPECT_EQ(good.Wait(kSoon), 0) << good.output();
}

}  // namespace
}  // namespace baiwan::cli
