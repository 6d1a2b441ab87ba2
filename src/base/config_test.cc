#include "base/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/file.h"
#include "base/rng.h"
#include "base/testing/temp_folder.h"

namespace baiwan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ConfigSchema Example() {
  ConfigSchema schema;
  schema.String("name", "cell-0", "What this process is called.");
  schema.Endpoint("gateway.http", "127.0.0.1:9500", "Where clients connect.", ConfigUse::kListens);
  schema.Int("gateway.connections", 16384, "Open connections at most.", 1, 1'000'000,
             "connections");
  schema.Bytes("limits.window_bytes", 256 << 10, "What a user may have in flight.", 1 << 10,
               64 << 20);
  schema.Bytes("process.memory", 1 << 30, "The budget.", 1 << 20, 1ull << 40, ConfigUse::kMemory);
  schema.Duration("registry.lease", 10 * kSecond, "How long a registration lasts.", kSecond,
                  3600 * kSecond);
  schema.Endpoint("registry.at", "", "Where the registry is.");
  schema.Enum("log.level", "info", "From which level on.", {"debug", "info", "warn", "error"});
  schema.Bool("net.io_uring", true, "Whether to try io_uring.");
  schema.List("cell.roles", {"gateway", "logic"}, "What runs here.", 4);
  return schema;
}

Config Must(Result<Config, std::vector<ConfigError>> config) {
  if (config) return *config;
  ADD_FAILURE() << ToText(config.error());
  return *ParseConfig(Example(), "", "");
}

std::string ErrorOf(std::string_view toml) {
  const auto config = ParseConfig(Example(), toml, "f.toml");
  return config ? "no error" : ToText(config.error());
}

TEST(Config, WithoutAnySourceEveryKeyHasItsDefault) {
  const auto config = Must(LoadConfig(Example(), {}));
  EXPECT_EQ(config.string("name"), "cell-0");
  EXPECT_EQ(config.endpoint("gateway.http"), (Endpoint{"127.0.0.1", 9500}));
  EXPECT_EQ(config.integer("gateway.connections"), 16384);
  EXPECT_EQ(config.bytes("limits.window_bytes"), 256u << 10);
  EXPECT_EQ(config.duration("registry.lease"), 10 * kSecond);
  EXPECT_EQ(config.endpoint("registry.at").host, "");
  EXPECT_EQ(config.choice("log.level"), "info");
  EXPECT_TRUE(config.boolean("net.io_uring"));
  EXPECT_THAT(config.list("cell.roles"), ElementsAre("gateway", "logic"));
  EXPECT_EQ(config.source("name"), "default");
}

TEST(Config, AFileSetsEveryType) {
  const auto config = Must(ParseConfig(Example(), R"(name = "cell-7"
cell.roles = ["relay"]
[gateway]
http = "[::1]:0"
connections = 5
[limits]
window_bytes = 4096
[process]
memory = "2GiB"
[registry]
lease = "1m30s"
at = "localhost:8089"
[log]
level = "warn"
[net]
io_uring = false
)",
                                       "f.toml"));
  EXPECT_EQ(config.string("name"), "cell-7");
  EXPECT_EQ(config.endpoint("gateway.http"), (Endpoint{"::1", 0}));
  EXPECT_EQ(config.integer("gateway.connections"), 5);
  EXPECT_EQ(config.bytes("limits.window_bytes"), 4096u);
  EXPECT_EQ(config.bytes("process.memory"), 2ull << 30);
  EXPECT_EQ(config.duration("registry.lease"), 90 * kSecond);
  EXPECT_EQ(config.choice("log.level"), "warn");
  EXPECT_FALSE(config.boolean("net.io_uring"));
  EXPECT_THAT(config.list("cell.roles"), ElementsAre("relay"));
  EXPECT_EQ(config.source("gateway.http"), "f.toml:4:8");
}

TEST(Config, FlagsWinOverTheEnvironmentAndThatOverTheFile) {
  const TempFolder folder;
  const std::string file = folder.path() + "/host.toml";
  ASSERT_EQ(ReplaceFile(file, "name = 'file'\ngateway.connections = 1\nlog.level = 'warn'\n"),
            std::nullopt);
  ConfigSources sources;
  sources.file = file;
  sources.environment = {"HOME=/root", "BAIWAN_GATEWAY_CONNECTIONS=2", "BAIWAN_LOG_LEVEL=error",
                         "BAIWAN_READY_FD=3", "BAIWAN_CELL_ROLES=relay,logic"};
  sources.sets = {"log.level=debug", "registry.at=10.0.0.1:8089"};
  const auto config = Must(LoadConfig(Example(), sources));
  EXPECT_EQ(config.string("name"), "file");
  EXPECT_EQ(config.integer("gateway.connections"), 2);
  EXPECT_EQ(config.choice("log.level"), "debug");
  EXPECT_EQ(config.endpoint("registry.at").port, 8089);
  EXPECT_THAT(config.list("cell.roles"), ElementsAre("relay", "logic"));
  EXPECT_EQ(config.source("gateway.connections"), "environment BAIWAN_GATEWAY_CONNECTIONS");

  sources.file = folder.path() + "/none.toml";
  const auto missing = LoadConfig(Example(), sources);
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(ToText(missing.error()), HasSubstr("none.toml: No such file"));
}

TEST(Config, UnknownKeysAreRefusedWithTheirPlaceAndTheNearestKnownOne) {
  EXPECT_EQ(ErrorOf("[gateway]\nhtpp = \"127.0.0.1:1\"\n"),
            "f.toml:2:1: gateway.htpp: unknown key; did you mean gateway.http?\n");
  EXPECT_EQ(ErrorOf("lease = \"1s\"\n"),
            "f.toml:1:1: lease: unknown key; did you mean registry.lease?\n");
  EXPECT_EQ(ErrorOf("xyzzyxyzzy = 1\n"), "f.toml:1:1: xyzzyxyzzy: unknown key\n");
  EXPECT_THAT(ErrorOf("[gatewya]\nhttp = \"127.0.0.1:1\"\n"), HasSubstr("unknown section"));

  ConfigSources sources;
  sources.environment = {"BAIWAN_GATEWAY_HTP=x"};
  sources.sets = {"log.levle=info", "nothing"};
  const auto config = LoadConfig(Example(), sources);
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(ToText(config.error()),
            "environment BAIWAN_GATEWAY_HTP: unknown setting; did you mean BAIWAN_GATEWAY_HTTP?\n"
            "--set: log.levle: unknown key; did you mean log.level?\n"
            "--set nothing: expected --set key=value\n");
}

TEST(Config, WrongTypesAndRangesAreRefusedWithWhatWouldBeRight) {
  EXPECT_EQ(ErrorOf("[gateway]\nconnections = 0\n"),
            "f.toml:2:15: gateway.connections: 0 is out of range: give a whole number from 1 to "
            "1000000 connections\n");
  EXPECT_THAT(ErrorOf("gateway.connections = \"5\""), HasSubstr("got a text"));
  EXPECT_THAT(ErrorOf("gateway.connections = 1.5"), HasSubstr("got a fraction"));
  EXPECT_THAT(ErrorOf("registry.lease = 10"), HasSubstr("write the unit, as in \"10s\""));
  EXPECT_THAT(ErrorOf("registry.lease = \"10\""), HasSubstr("the units are"));
  EXPECT_THAT(ErrorOf("registry.lease = \"1ms\""), HasSubstr("from 1s to 1h"));
  EXPECT_THAT(ErrorOf("limits.window_bytes = \"1KB\""), HasSubstr("KiB, MiB"));
  EXPECT_THAT(ErrorOf("limits.window_bytes = -1"), HasSubstr("out of range"));
  EXPECT_THAT(ErrorOf("log.level = \"loud\""), HasSubstr("one of debug, info, warn, error"));
  EXPECT_THAT(ErrorOf("net.io_uring = 1"), HasSubstr("expected true or false"));
  EXPECT_THAT(ErrorOf("gateway.http = \"nowhere\""), HasSubstr("host:port"));
  EXPECT_THAT(ErrorOf("registry.at = \"127.0.0.1:0\""), HasSubstr("port 0"));
  EXPECT_THAT(ErrorOf("cell.roles = \"relay\""), HasSubstr("expected a list"));
  EXPECT_THAT(ErrorOf("cell.roles = [1]"), HasSubstr("with a whole number in it"));
  EXPECT_THAT(ErrorOf("cell.roles = ['a','b','c','d','e']"), HasSubstr("at most 4"));
  EXPECT_THAT(ErrorOf("[log.level]\nx = 1"), HasSubstr("got a section"));
  EXPECT_THAT(ErrorOf("log = 1"), HasSubstr("unknown key"));
  EXPECT_THAT(ErrorOf("name = '" + std::string(5000, 'x') + "'"), HasSubstr("at most 4096"));
}

TEST(Config, ATextOfTheWrongFormIsRefusedAlsoInAList) {
  const auto lower = [](std::string_view text) -> std::optional<std::string> {
    if (text.find('X') == std::string_view::npos) return std::nullopt;
    return std::string(text) + ": write x";
  };
  ConfigSchema schema;
  schema.String("one", "a", "A text.", 8, lower);
  schema.List("many", {"a"}, "Texts.", 8, lower);
  const auto good = ParseConfig(schema, "one = \"b\"\nmany = [\"c\", \"d\"]\n", "f.toml");
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(good->string("one"), "b");
  const auto bad = ParseConfig(schema, "one = \"X\"\nmany = [\"c\", \"dX\"]\n", "f.toml");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(ToText(bad.error()),
            "f.toml:2:8: many: dX: write x\n"
            "f.toml:1:7: one: X: write x\n");
}

TEST(Config, AFileThatIsNotTomlIsRefusedWithItsPlace) {
  EXPECT_THAT(ErrorOf("a = 1\nb = = 2\n"), HasSubstr("f.toml:2:5: "));
  EXPECT_THAT(ErrorOf("name = \"a\"\nname = \"b\"\n"), HasSubstr("f.toml:2:"));
  EXPECT_THAT(ErrorOf(std::string(10'000, '[')), HasSubstr("f.toml:1:"));
  EXPECT_NE(ErrorOf(std::string("\xff\xfe\0\1", 4)), "no error");
  for (const char* bad : {"[=", "[.]", "[a.]", "[a.=]", "a.=1", "[[=]]", "=", "a={=}", "a=[=]", "a",
                          "a=", "a=\"", "a='''", "[a", "a={b.}", "a=1e", "a=0x", "a=2020-"}) {
    EXPECT_NE(ErrorOf(bad), "no error") << bad;
  }
}

TEST(Config, NoTypingMistakeEndsTheProgram) {
  const std::string good =
      "name = \"x\"\n[gateway]\nhttp = '127.0.0.1:1'\n[cell]\nroles = [\"a\", 'b']\n"
      "[registry]\nlease = \"5s\" # five\n";
  Rng rng(7);
  for (int i = 0; i < 3000; ++i) {
    std::string text = good;
    for (int edits = 0; edits < 4; ++edits) {
      const auto at = static_cast<std::size_t>(rng.Below(text.size()));
      const char c = "=[].{}\"'\n #\\a1-\0\xff"[rng.Below(17)];
      if (rng.Chance(0.5)) {
        text[at] = c;
      } else {
        text.insert(at, 1, c);
      }
    }
    const auto config = ParseConfig(Example(), text, "f.toml");
    EXPECT_TRUE(config.ok() || !config.error().empty());
  }
}

TEST(Config, AllMistakesAreToldAtOnceAndThenThoseOfTheChecks) {
  const auto config =
      ParseConfig(Example(), "gateway.connections = 0\nnet.io_uring = 3\nfoo = 1\n", "f.toml");
  EXPECT_EQ(config.error().size(), 3u);

  auto schema = Example();
  schema.Check("limits.window_bytes", [](const Config& c) -> std::optional<std::string> {
    if (c.bytes("limits.window_bytes") * 4 <= c.bytes("process.memory")) return std::nullopt;
    return "must be at most a quarter of process.memory";
  });
  const auto checked =
      ParseConfig(schema, "limits.window_bytes = '2MiB'\nprocess.memory = '4MiB'", "f.toml");
  ASSERT_FALSE(checked.ok());
  EXPECT_EQ(ToText(checked.error()),
            "f.toml:1:23: limits.window_bytes: must be at most a quarter of process.memory\n");
  EXPECT_TRUE(ParseConfig(schema, "", "f.toml").ok());
}

TEST(Config, WhatARuleSaysIsToldWithOtherMistakesButNotWhenItFollowsFromOne) {
  auto schema = Example();
  schema.Check("limits.window_bytes", [](const Config& c) -> std::optional<std::string> {
    if (c.bytes("limits.window_bytes") * 4 <= c.bytes("process.memory")) return std::nullopt;
    return "must be at most a quarter of process.memory";
  });
  const auto errors = [&](const std::string& text) {
    return ToText(ParseConfig(schema, text, "f.toml").error());
  };
  EXPECT_THAT(errors("limits.window_bytes = '2MiB'\nprocess.memory = '4MiB'\nfoo = 1"),
              AllOf(HasSubstr("must be at most a quarter"), HasSubstr("foo")));
  for (const char* memory : {"process.memory = 3.5", "process.memroy = '64GiB'", "[process"}) {
    EXPECT_THAT(errors(std::string("limits.window_bytes = '1GiB'\n") + memory),
                Not(HasSubstr("must be at most a quarter")))
        << memory;
  }
}

TEST(Config, TheDescriptionHoldsEveryKeyAndLoadsToTheDefaultsOnceUncommented) {
  const std::string text = Example().Describe();
  EXPECT_THAT(text, HasSubstr("# How long a registration lasts. (a duration from 1s to 1h)\n"
                              "#lease = \"10s\"\n"));
  EXPECT_TRUE(ParseConfig(Example(), text, "d").ok());
  std::string uncommented;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!(text[i] == '#' && text[i + 1] != ' ')) uncommented += text[i];
  }
  const auto config = Must(ParseConfig(Example(), uncommented, "d"));
  EXPECT_EQ(config.ToToml(), Must(LoadConfig(Example(), {})).ToToml());
  for (const auto& key : config.keys()) EXPECT_NE(config.source(key.name), "default") << key.name;
}

TEST(Config, WhatIsInEffectIsWrittenSoThatItLoadsToTheSame) {
  const auto config = Must(ParseConfig(
      Example(), "name = \"a \\\"b\\\" \\\\ \\n\"\ncell.roles = []\nlimits.window_bytes = 5000",
      "f"));
  const auto again = Must(ParseConfig(Example(), config.ToToml(), "f"));
  EXPECT_EQ(again.string("name"), "a \"b\" \\ \n");
  EXPECT_EQ(again.ToToml(), config.ToToml());
  EXPECT_EQ(again.bytes("limits.window_bytes"), 5000u);
}

TEST(ConfigDeathTest, AProgrammersMistakeEndsTheProgramWithTheName) {
  const auto config = Must(LoadConfig(Example(), {}));
  EXPECT_DEATH(static_cast<void>(config.integer("gateway.conections")),
               "'gateway.conections' was never declared");
  EXPECT_DEATH(static_cast<void>(config.bytes("gateway.connections")), "another type");
  ConfigSchema schema;
  schema.Bool("a.b_c", true, "");
  EXPECT_DEATH(schema.Bool("a_b.c", true, ""), "cannot be told from a.b_c");
  EXPECT_DEATH(schema.Bool("A", true, ""), "not a proper name");
  EXPECT_DEATH(schema.Int("n", 5, "", 0, 4), "wrong default");
}

class DeploymentTest : public ::testing::Test {
 protected:
  // Not two processes with one temporary: the configs must outlive the check.
  void Add(const std::string& name, const std::string& machine, const std::string& toml,
           std::vector<std::string> sections = {}) {
    configs_.push_back(
        std::make_unique<Config>(Must(ParseConfig(Example(), toml, name + ".toml"))));
    processes_.push_back({name, machine, configs_.back().get(), std::move(sections)});
  }
  std::string Errors(std::uint64_t machine_bytes = 16ull << 30) {
    return ToText(CheckDeployment(processes_, machine_bytes));
  }
  std::vector<std::unique_ptr<Config>> configs_;
  std::vector<DeployedProcess> processes_;
};

TEST_F(DeploymentTest, TwoProcessesOnOnePortOfAMachineAreFound) {
  Add("cell-0", "host-a", "");
  Add("cell-1", "host-b", "");
  Add("cell-2", "host-a", "gateway.http = '127.0.0.1:0'");
  Add("cell-3", "host-a", "gateway.http = '127.0.0.2:9500'");
  Add("monitor", "host-a", "", {"process"});  // has the key, but no gateway
  EXPECT_EQ(Errors(), "");
  Add("cell-4", "host-a", "gateway.http = 'localhost:9500'");
  EXPECT_EQ(Errors(),
            "cell-4: gateway.http: localhost:9500 is taken by gateway.http of cell-0 on host-a: "
            "give one of them another port\n");
  Add("cell-5", "host-b", "gateway.http = '0.0.0.0:9500'");
  EXPECT_THAT(Errors(), HasSubstr("cell-5: gateway.http: 0.0.0.0:9500 is taken"));
}

TEST_F(DeploymentTest, EachAddressIsToldOnceHoweverManyHaveIt) {
  for (const char* name : {"a", "b", "c", "d"}) Add(name, "host-a", "");
  const std::string errors = Errors();
  EXPECT_EQ(std::count(errors.begin(), errors.end(), '\n'), 3) << errors;
  for (const char* name : {"b", "c", "d"}) {
    EXPECT_THAT(errors, HasSubstr(std::string(name) + ": gateway.http: 127.0.0.1:9500 is taken by "
                                                      "gateway.http of a"));
  }
}

TEST_F(DeploymentTest, AProcessOfSeveralCellsHasSeveralPorts) {
  Add("a", "host-a", "");
  processes_.back().ports = 4;
  Add("b", "host-a", "gateway.http = '127.0.0.1:9504'");
  EXPECT_EQ(Errors(), "");
  Add("c", "host-a", "gateway.http = '127.0.0.1:9503'");
  EXPECT_EQ(Errors(),
            "c: gateway.http: 127.0.0.1:9503 is taken by gateway.http of a on host-a: give one of "
            "them another port\n");
  Add("d", "host-b", "gateway.http = '127.0.0.1:65533'");
  processes_.back().ports = 4;
  EXPECT_THAT(Errors(), HasSubstr("d: gateway.http: 127.0.0.1:65533 (to 65536) goes beyond"));
}

TEST_F(DeploymentTest, BudgetsThatTogetherExceedTheMachineAreFound) {
  Add("cell-0", "host-a", "process.memory = '3GiB'\ngateway.http = ''");
  Add("cell-1", "host-a", "process.memory = '2GiB'\ngateway.http = ''");
  Add("cell-2", "host-b", "process.memory = '5GiB'\ngateway.http = ''");
  EXPECT_EQ(Errors(5ull << 30), "");
  EXPECT_EQ(Errors(4ull << 30),
            "host-a: its processes may use 5GiB of memory together, and it has 4GiB: lower some of "
            "cell-0 process.memory 3GiB, cell-1 process.memory 2GiB\n"
            "host-b: its processes may use 5GiB of memory together, and it has 4GiB: lower some of "
            "cell-2 process.memory 5GiB\n");
}

TEST(NearestName, FindsWhatWasMeantAndNothingElse) {
  EXPECT_EQ(NearestName("gatway", {"gateway", "relay"}), "gateway");
  EXPECT_EQ(NearestName("abc", {"gateway", "relay"}), "");
}

}  // namespace
}  // namespace baiwan
