// What processes do when the reader of their log or output stands still, goes away, or never was.
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/testing/piped_program.h"
#include "cli/testing/program.h"
#include "cli/testing/raw_client.h"
#include "net/sockets.h"

namespace baiwan::cli {
namespace {

constexpr Nanos kSoon = 20 * kSecond;

std::string Sets(const std::string& key, std::uint16_t port) {
  return key + "=127.0.0.1:" + std::to_string(port);
}

class LogReaderTest : public ::testing::Test {
 protected:
  LogReaderTest() {
    std::ofstream(secret_) << "a secret of this test alone";
    std::filesystem::permissions(secret_, std::filesystem::perms::owner_read);
  }

  std::vector<std::string> Cell() const {
    return {"serve",
            "--set",
            "link.secret_file=" + secret_,
            "--set",
            "store.path=" + folder_.path() + "/store",
            "--set",
            Sets("gateway.http", http_),
            "--set",
            Sets("relay.listen", relay_),
            "--set",
            "registry.endpoint=127.0.0.1:1"};
  }
  std::vector<std::string> Registry() const {
    return {"registry", "--set", Sets("registry.listen", http_)};
  }
  bool Answers() const {
    return Ask(http_, "GET", "/healthz", "", kSoon).find(" 200 ") != std::string::npos;
  }
  std::uint64_t Metric(const std::string& name) const {
    const std::string all = Ask(http_, "GET", "/metrics", "", kSoon);
    const auto at = all.find("\nbaiwan_" + name + " ");
    return at == std::string::npos ? 0 : std::stoull(all.substr(at + name.size() + 9));
  }
  // Somebody who is no relay knocks at the relay's port; each time is worth a line.
  void Knock() const {
    const UniqueFd socket = ConnectTo(relay_, kSoon);
    SendAll(socket, std::string(64, 'x'));
    ReceiveUntil(socket, "\n", kSoon);  // until it is closed
  }
  // Registers under a name, and is refused once another has the same address: that is a line too.
  std::string Register(const std::string& name) const {
    return Ask(http_, "PUT", "/v1/services/gateway/0/" + name, R"({"host":"127.0.0.1","port":1})",
               kSoon);
  }

  TempFolder folder_;
  const std::string secret_ = folder_.path() + "/link.secret";
  const std::uint16_t http_ = net::FreeLoopbackPort();
  const std::uint16_t relay_ = net::FreeLoopbackPort();
};

TEST_F(LogReaderTest, ACellWhoseLogsReaderIsGoneGoesOn) {
  PipedProgram cell(Cell());
  ASSERT_NE(cell.ReadLogUntil("serves at", kSoon).find("serves at"), std::string::npos);
  cell.CloseLog();
  cell.CloseOutput();
  Knock();
  EXPECT_TRUE(Eventually([&] { return Metric("log_dropped_total") > 0; }, kSoon));
  EXPECT_TRUE(Answers());
  cell.Signal(SIGTERM);
  EXPECT_EQ(cell.Wait(kSoon), 0);
}

TEST_F(LogReaderTest, ARegistryWhoseLogsReaderIsGoneGoesOn) {
  PipedProgram registry(Registry());
  ASSERT_NE(registry.ReadLogUntil("serves at", kSoon).find("serves at"), std::string::npos);
  registry.CloseLog();
  Register("a");
  EXPECT_NE(Register("b").find("HTTP/1.1 409"), std::string::npos);
  EXPECT_TRUE(Eventually([&] { return Metric("log_dropped_total") > 0; }, kSoon));
  registry.Signal(SIGTERM);
  EXPECT_EQ(registry.Wait(kSoon), 0);
}

TEST_F(LogReaderTest, ASupervisorWhoseLogsReaderIsGoneGoesOn) {
  const std::string plan = folder_.path() + "/host.toml";
  const std::string ready = folder_.path() + "/ready";
  std::ofstream(plan) << "[[child]]\nname = \"one\"\ncommand = [\"/bin/sh\", \"-c\", \"touch "
                      << ready << "; exec sleep 600\"]\n";
  PipedProgram supervisor({"supervise", "--config", plan});
  supervisor.CloseLog();
  ASSERT_TRUE(Eventually([&] { return std::filesystem::exists(ready); }, kSoon));
  supervisor.Signal(SIGTERM);  // which it writes down
  EXPECT_EQ(supervisor.Wait(kSoon), 0);
}

TEST_F(LogReaderTest, ACellWhoseLogNobodyReadsAnswersAndEnds) {
  PipedProgram cell(Cell(), {.full = true});
  ASSERT_TRUE(Eventually([&] { return Answers(); }, kSoon));
  Knock();
  EXPECT_TRUE(Answers());
  cell.Signal(SIGTERM);
  EXPECT_EQ(cell.Wait(kSoon), 0);
}

TEST_F(LogReaderTest, AReaderThatComesBackFindsTheLinesThatWaited) {
  PipedProgram registry(Registry(), {.full = true});
  ASSERT_TRUE(Eventually([&] { return Answers(); }, kSoon));
  EXPECT_NE(registry.ReadLogUntil("serves at", kSoon).find("serves at"), std::string::npos);
  EXPECT_EQ(Metric("log_dropped_total"), 0u);
}

TEST_F(LogReaderTest, AStrangersFramesWriteNoLinesEach) {
  PipedProgram cell(Cell());
  ASSERT_NE(cell.ReadLogUntil("serves at", kSoon).find("serves at"), std::string::npos);
  const std::string frame("\x82\x89\0\0\0\0\x0a\x07\x08\x05\x22\x03\xff\xfe\xfd", 15);
  for (int i = 0; i < 300; ++i) {
    const UniqueFd socket = ConnectTo(http_, kSoon);
    SendAll(socket,
            "GET /v1/connect HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(http_) +
                "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==\r\n\r\n");
    ASSERT_NE(ReceiveUntil(socket, "\r\n\r\n", kSoon).find(" 101 "), std::string::npos);
    SendAll(socket, frame);
    ASSERT_NE(ReceiveUntil(socket, "not a client frame", kSoon).find("\x03\xef"),  // 1007
              std::string::npos);
  }
  cell.Signal(SIGTERM);
  ASSERT_EQ(cell.Wait(kSoon), 0);
  const std::string log = cell.ReadLogUntil("\x01 never", kSoon);
  EXPECT_LT(std::count(log.begin(), log.end(), '\n'), 10) << log.substr(0, 2000);
  EXPECT_EQ(log.find("protobuf"), std::string::npos);
}

// What is opened next would get the numbers of the output and the log, and their lines with them.
TEST_F(LogReaderTest, AProcessWithoutOutputWritesItsLogIntoNobodysFile) {
  PipedProgram cell(Cell(), {.without_output = true});
  ASSERT_TRUE(Eventually([&] { return Answers(); }, kSoon));
  for (const char* number : {"0", "1", "2"}) {
    std::error_code error;
    const auto file = std::filesystem::read_symlink(
        "/proc/" + std::to_string(cell.pid()) + "/fd/" + number, error);
    EXPECT_FALSE(error) << number;
    if (std::string_view(number) != "0") {
      EXPECT_EQ(file.string(), "/dev/null");
    }
  }
}

TEST_F(LogReaderTest, OutputThatNobodyReadsIsNoFailure) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"config", "describe"},
           {"--help"},
           {"serve", "--help"},
           {"generate", "--cells", "1", "--users-per-cell", "9", "--friends-in-cell", "2",
            "--friends-cross", "0", "--output", folder_.path() + "/graph"}}) {
    PipedProgram program(arguments);
    program.CloseOutput();
    EXPECT_EQ(program.Wait(kSoon), 0) << arguments.front();
    EXPECT_EQ(program.ReadLogUntil("\x01 never", kSoon).find("baiwan:"), std::string::npos)
        << arguments.front();
  }
}

TEST_F(LogReaderTest, OutputThatHasNoRoomIsAFailureWithAName) {
  const std::string shell =
      std::string(BAIWAN_PROGRAM) + " config describe >/dev/full 2>" + folder_.path() + "/error";
  EXPECT_EQ(WEXITSTATUS(std::system(shell.c_str())), 2);
  std::ifstream in(folder_.path() + "/error");
  std::string line;
  std::getline(in, line);
  EXPECT_NE(line.find("No space left on device"), std::string::npos) << line;
}

TEST_F(LogReaderTest, TheBoardEndsWithItsReader) {
  PipedProgram registry(Registry());
  ASSERT_NE(registry.ReadLogUntil("serves at", kSoon).find("serves at"), std::string::npos);
  for (const bool json : {false, true}) {
    std::vector<std::string> arguments = {"top", "--registry", "127.0.0.1:" + std::to_string(http_),
                                          "--interval", "100ms"};
    if (json) arguments.emplace_back("--json");
    PipedProgram board(arguments, {.pipe_bytes = 1 << 20});
    ASSERT_NE(board.ReadOutputUntil("\n", kSoon).find('\n'), std::string::npos);
    board.CloseOutput();
    EXPECT_EQ(board.Wait(kSoon), 0) << json;
    EXPECT_EQ(board.ReadLogUntil("\x01 never", kSoon), "") << json;
  }
}

}  // namespace
}  // namespace baiwan::cli
