#include "fleet/tool.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "base/units.h"

namespace baiwan::fleet {
namespace {

constexpr Nanos kLook = 20 * kMillisecond;
constexpr std::size_t kTail = 4096;

void Sleep(Nanos time) { std::this_thread::sleep_for(std::chrono::nanoseconds(time)); }

// Where its files are, without their endings.
std::string FilesFor(const ToolSpec& spec) {
  std::string first = fmt::format("{}/{}", spec.folder, spec.name);
  if (!spec.keep || ::access((first + ".in").c_str(), F_OK) != 0) return first;
  int number = 2;
  while (::access(fmt::format("{}-{}.in", first, number).c_str(), F_OK) == 0) ++number;
  return fmt::format("{}-{}", first, number);
}

}  // namespace

std::vector<std::string> Tool::Lines::New() {
  std::vector<std::string> lines;
  std::ifstream in(path_, std::ios::binary);
  if (!in || read_ >= kMaxOutput) return lines;
  in.seekg(static_cast<std::streamoff>(read_));
  std::string more(64 << 10, '\0');
  while (in.read(more.data(), static_cast<std::streamsize>(more.size())) || in.gcount() > 0) {
    const auto got = static_cast<std::size_t>(in.gcount());
    read_ += got;
    begun_.append(more, 0, got);
  }
  std::size_t at = 0;
  for (std::size_t end; (end = begun_.find('\n', at)) != std::string::npos; at = end + 1) {
    lines.push_back(begun_.substr(at, end - at));
  }
  begun_.erase(0, at);
  return lines;
}

std::string Tool::Lines::All() const {
  const auto text = ReadFile(path_, kMaxOutput);
  return text ? *text : "";
}

Result<std::unique_ptr<Tool>, std::string> Tool::Start(const ToolSpec& spec) {
  const std::string files = FilesFor(spec);
  if (const auto wrong = ReplaceFile(files + ".in", spec.input)) return *wrong;
  // What an earlier one of the name said is not taken for this one's words.
  for (const char* stream : {".out", ".err"}) ::unlink((files + stream).c_str());
  supervise::ChildSpec child;
  child.name = spec.name;
  child.argv = {"/bin/sh", "-c",
                R"(exec "$@" <"$BAIWAN_FILES.in" >"$BAIWAN_FILES.out" )"
                R"(2>"$BAIWAN_FILES.err")",
                "sh"};
  child.argv.insert(child.argv.end(), spec.argv.begin(), spec.argv.end());
  child.env = {{"BAIWAN_FILES", files}};
  auto process = supervise::Process::Start(child);
  if (!process) return process.error();
  return std::unique_ptr<Tool>(new Tool(std::move(*process), spec.argv, files));
}

Tool::Tool(std::unique_ptr<supervise::Process> process, const Argv& argv, const std::string& files)
    : process_(std::move(process)),
      out_(files + ".out"),
      err_(files + ".err"),
      command_(fmt::format("{}", fmt::join(argv, " "))) {}

Tool::~Tool() {
  if (Ended()) return;
  Stop();
  const Nanos until = SystemClock().Monotonic() + kPatience;
  while (!Ended() && SystemClock().Monotonic() < until) Sleep(kLook);
}

std::optional<int> Tool::Ended() {
  if (ended_) return ended_;
  if (const auto exit = process_->Reap()) ended_ = exit->code + (exit->by_signal ? 128 : 0);
  return ended_;
}

std::string Tool::ErrorTail(std::size_t bytes) const {
  std::string all = err_.All();
  if (all.size() > bytes) all.erase(0, all.size() - bytes);
  return all;
}

Result<ToolEnd, std::string> RunTool(const ToolSpec& spec, Nanos limit) {
  auto tool = Tool::Start(spec);
  if (!tool) return tool.error();
  const Nanos until = SystemClock().Monotonic() + limit;
  while (!(*tool)->Ended()) {
    if (SystemClock().Monotonic() > until) {
      return fmt::format("'{}' did not end within {}", (*tool)->command(), FormatDuration(limit));
    }
    Sleep(kLook);
  }
  return ToolEnd{*(*tool)->Ended(), (*tool)->Output(), (*tool)->ErrorTail(kTail)};
}

}  // namespace baiwan::fleet
