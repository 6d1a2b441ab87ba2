#include "monitor/board.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "monitor/machine.h"

namespace baiwan::monitor {
namespace {

enum class Colour { kPlain, kBold, kDim, kGreen, kYellow, kRed, kCyan };

const char* Escape(Colour colour) {
  switch (colour) {
    case Colour::kBold:
      return "\x1b[1m";
    case Colour::kDim:
      return "\x1b[2m";
    case Colour::kGreen:
      return "\x1b[32m";
    case Colour::kYellow:
      return "\x1b[33m";
    case Colour::kRed:
      return "\x1b[1;31m";
    case Colour::kCyan:
      return "\x1b[36m";
    case Colour::kPlain:
      break;
  }
  return "";
}

// Lines no longer than the width, colours apart.
class Painter {
 public:
  explicit Painter(const BoardStyle& style) : style_(style) {}

  // ASCII text; what does not fit the line any more is cut off.
  Painter& Put(std::string_view text, Colour colour = Colour::kPlain) {
    text = text.substr(0, style_.width - std::min(style_.width, column_));
    if (text.empty()) return *this;
    const bool coloured = style_.colour && colour != Colour::kPlain;
    if (coloured) text_ += Escape(colour);
    text_ += text;
    if (coloured) text_ += "\x1b[0m";
    column_ += text.size();
    return *this;
  }
  // `count` times a character of one column.
  void Repeat(std::size_t count, std::string_view character, Colour colour) {
    count = std::min(count, style_.width - std::min(style_.width, column_));
    if (style_.colour) text_ += Escape(colour);
    for (std::size_t i = 0; i < count; ++i) text_ += character;
    if (style_.colour) text_ += "\x1b[0m";
    column_ += count;
  }
  void EndLine() {
    text_ += '\n';
    column_ = 0;
    ++lines_;
  }
  std::size_t lines() const { return lines_; }
  std::string Text() { return std::move(text_); }

 private:
  const BoardStyle& style_;
  std::string text_;
  std::size_t column_ = 0;
  std::size_t lines_ = 0;
};

std::uint64_t Rounded(double number) {
  return number > 0 && number < 1e18 ? static_cast<std::uint64_t>(std::llround(number)) : 0;
}

// "1 h 02 min", "3 min 20 s", "12 s"
std::string Span(double seconds) {
  const std::uint64_t s = Rounded(seconds);
  if (s >= 3600) return fmt::format("{} h {:02} min", s / 3600, s / 60 % 60);
  if (s >= 60) return fmt::format("{} min {:02} s", s / 60, s % 60);
  return fmt::format("{} s", s);
}

void SumLine(const BoardState& s, Painter& paint) {
  if (s.users == 0) {
    paint.Put("sum  ", Colour::kDim).Put("no load client yet");
    return paint.EndLine();
  }
  paint.Put("sum  ", Colour::kDim)
      .Put(WithCommas(s.finished), s.done() ? Colour::kGreen : Colour::kBold)
      .Put(fmt::format(" of {} users finished, ", WithCommas(s.users)))
      .Put(fmt::format("{:.0f} s", s.seconds), Colour::kBold);
  paint.EndLine();
}

// Of messages delivered, which move more evenly than finished users.
void Bar(const BoardState& s, const BoardStyle& style, Painter& paint) {
  const double share =
      s.messages == 0
          ? 0
          : std::min(1.0, static_cast<double>(s.delivered) / static_cast<double>(s.messages));
  std::string left;
  if (s.messages > s.delivered && s.delivered_rate >= 1) {
    left = fmt::format("  {} left",
                       Span(static_cast<double>(s.messages - s.delivered) / s.delivered_rate));
  }
  const std::string percent = fmt::format(" {:5.1f} %{:<16}", share * 100, left);
  const std::size_t width =
      std::min<std::size_t>(60, style.width > percent.size() ? style.width - percent.size() : 0);
  const auto full = static_cast<std::size_t>(share * static_cast<double>(width));
  paint.Repeat(full, "█", s.done() ? Colour::kGreen : Colour::kCyan);
  paint.Repeat(width - full, "░", Colour::kDim);
  paint.Put(percent.substr(0, percent.find_last_not_of(' ') + 1));
  paint.EndLine();
}

void Grid(const BoardState& s, const BoardStyle& style, std::size_t most_lines, Painter& paint) {
  std::size_t where = 0;
  std::size_t finished = 0;
  std::size_t gained = 0;
  for (const BoardState::Cell& cell : s.cells) {
    where = std::max(where, cell.where.size());
    finished = std::max(finished, WithCommas(cell.finished).size());
    gained = std::max(gained, WithCommas(cell.gained).size() + 1);
  }
  gained = std::max<std::size_t>(gained, 4);  // "down"
  const std::size_t one = where + finished + gained + 2;
  const std::size_t columns = std::max<std::size_t>(1, (style.width + 3) / (one + 3));
  std::size_t shown = s.cells.size();
  if (most_lines > 0 && (shown + columns - 1) / columns > most_lines) {
    shown = (most_lines - 1) * columns;
  }
  for (std::size_t i = 0; i < shown; ++i) {
    const BoardState::Cell& cell = s.cells[i];
    if (i % columns > 0) paint.Put("   ");
    const bool last = i % columns == columns - 1 || i + 1 == shown;
    const std::string change = !cell.answers     ? "down"
                               : cell.gained > 0 ? "+" + WithCommas(cell.gained)
                                                 : "";
    paint.Put(fmt::format("{:<{}} ", cell.where, where), Colour::kDim)
        .Put(fmt::format("{:>{}}", WithCommas(cell.finished), finished))
        .Put(last && change.empty() ? "" : fmt::format(" {:<{}}", change, last ? 0 : gained),
             cell.answers ? Colour::kGreen : Colour::kRed);
    if (last) paint.EndLine();
  }
  if (shown == s.cells.size()) return;
  paint.Put(fmt::format("and {} more", s.cells.size() - shown), Colour::kDim);
  paint.EndLine();
}

void Services(const BoardState& s, Painter& paint) {
  const bool all = s.alive >= s.expected;
  paint.Put("services   ", Colour::kDim)
      .Put(fmt::format("{} of {} alive", s.alive, s.expected), all ? Colour::kGreen : Colour::kRed);
  constexpr std::size_t kNamed = 5;
  for (std::size_t i = 0; i < std::min(kNamed, s.missing.size()); ++i) {
    paint.Put((i == 0 ? "; missing: " : ", ") + s.missing[i], Colour::kRed);
  }
  if (s.missing.size() > kNamed) {
    paint.Put(fmt::format(" and {} more", s.missing.size() - kNamed), Colour::kRed);
  }
  if (!s.hosts.empty() && s.fetched_per_host > 0) {
    paint.Put(
        fmt::format(", {} bytes/s of metrics a host", WithCommas(Rounded(s.fetched_per_host))),
        Colour::kDim);
  }
  paint.EndLine();
}

void Refusals(const BoardState& s, Painter& paint) {
  paint.Put("refusals   ", Colour::kDim)
      .Put(WithCommas(s.refused), s.refused > 0 ? Colour::kYellow : Colour::kPlain);
  if (s.refused_rate >= 0.5) paint.Put(fmt::format(", {}/s", WithCommas(Rounded(s.refused_rate))));
  constexpr std::size_t kNamed = 4;
  for (std::size_t i = 0; i < std::min(kNamed, s.reasons.size()); ++i) {
    paint.Put(fmt::format("{}{} {}", i == 0 ? ": " : ", ", s.reasons[i].first,
                          WithCommas(s.reasons[i].second)));
  }
  paint.EndLine();
}

// The worst of all hosts, by name; of those that are one machine, what they share has no name.
void Hosts(const BoardState& s, Painter& paint) {
  const auto machines = MachinesOf(s.hosts);
  if (machines.empty()) {
    paint.Put("hosts      ", Colour::kDim).Put("none answers", Colour::kRed);
    return paint.EndLine();
  }
  const auto worst = [&](auto of) {
    return std::max_element(machines.begin(), machines.end(),
                            [&](const auto& a, const auto& b) { return of(a.use) < of(b.use); });
  };
  const auto busy = worst([](const HostUse& u) { return u.busy; });
  const auto steal = worst([](const HostUse& u) { return u.steal; });
  const auto memory = worst([](const HostUse& u) { return -u.memory_share(); });
  const auto disk = worst([](const HostUse& u) { return -u.disk_share(); });
  std::size_t answering = 0;
  for (const auto& machine : machines) answering += machine.hosts.size();
  const auto name = [](const auto& machine) {
    return machine->hosts.size() == 1 ? machine->hosts.front() : std::string();
  };
  const auto percent = [](double share, int digits) {
    return fmt::format("{:>{}.{}f} %", share * 100, 4 + digits, digits);
  };
  const bool one = machines.size() == 1 && answering > 1;
  const auto row = [&](std::string_view head, std::string_view tail, std::string_view left,
                       double left_share, bool left_bad, const std::string& left_name,
                       std::string_view right, double right_share, bool right_bad,
                       const std::string& right_name) {
    paint.Put(fmt::format("{:<11}", head), Colour::kDim)
        .Put(fmt::format("{:<9} {:<11} ", tail, left))
        .Put(percent(left_share, 0), left_bad ? Colour::kRed : Colour::kPlain)
        .Put(fmt::format(" {:<11} {:<9} ", left_name, right))
        .Put(percent(right_share, 1), right_bad ? Colour::kRed : Colour::kPlain)
        .Put(right_name.empty() ? "" : " " + right_name);
    paint.EndLine();
  };
  row("hosts", one ? fmt::format("{} on one", answering) : fmt::format("{}, the", answering),
      "CPU busy", busy->use.busy, false, name(busy), "steal", steal->use.steal,
      steal->use.steal > kMostSteal, name(steal));
  row("", one ? "machine" : "worst", "memory left", memory->use.memory_share(),
      memory->use.memory_share() < kLeastMemory, name(memory), "disk left", disk->use.disk_share(),
      disk->use.disk_share() < kLeastDisk, disk->disk_host);
  for (const HostUse& host : s.hosts) {
    if (host.exceeded.empty()) continue;
    paint.Put("network    ", Colour::kDim)
        .Put(fmt::format("{} is beyond its {} allowance", host.name, host.exceeded.begin()->first),
             Colour::kRed);
    return paint.EndLine();
  }
}

void ThisMachine(const BoardState& s, Painter& paint) {
  paint.Put("CPU        ", Colour::kDim);
  for (const BoardState::Role& role : s.roles) {
    paint.Put(fmt::format("{} ", role.name))
        .Put(fmt::format("{:.2f}  ", role.cores), Colour::kBold);
  }
  paint.Put(s.roles.empty() ? "nobody answers" : "cores", Colour::kDim);
  paint.EndLine();
  if (!s.hosts.empty()) return Hosts(s, paint);
  if (s.cpus == 0) return;
  paint.Put("machine    ", Colour::kDim)
      .Put(fmt::format("{} CPUs {:.0f} % busy, ", s.cpus, s.busy * 100))
      .Put(fmt::format("steal {:.1f} %", s.steal * 100),
           s.steal > kStealWarning ? Colour::kRed : Colour::kPlain);
  paint.EndLine();
  if (s.steal <= kStealWarning) return;
  paint.Put("WARNING    its host keeps CPU from this machine: what is measured now means little",
            Colour::kRed);
  paint.EndLine();
}

}  // namespace

std::string WithCommas(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (auto at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

std::string RenderBoard(const BoardState& s, const BoardStyle& style) {
  Painter paint(style);
  SumLine(s, paint);
  if (style.bar && s.users > 0) Bar(s, style, paint);
  if (!s.cells.empty()) {
    constexpr std::size_t kOthers = 7;  // lines below the grid, at most
    const std::size_t above = paint.lines();
    const std::size_t room =
        style.height == 0
            ? 0
            : std::max<std::size_t>(2, style.height - std::min(style.height, above + kOthers));
    Grid(s, style, room, paint);
  }
  paint.Put("messages   ", Colour::kDim)
      .Put(WithCommas(Rounded(s.stored_rate)), Colour::kBold)
      .Put(" stored/s  ")
      .Put(WithCommas(Rounded(s.delivered_rate)), Colour::kBold)
      .Put(" delivered/s");
  if (s.messages > 0) {
    paint.Put(fmt::format("  {} of {} delivered", WithCommas(s.delivered), WithCommas(s.messages)));
  }
  paint.EndLine();
  Services(s, paint);
  Refusals(s, paint);
  ThisMachine(s, paint);
  return paint.Text();
}

namespace {

nlohmann::ordered_json HostJson(const HostUse& host) {
  nlohmann::ordered_json json = {{"name", host.name},
                                 {"machine", host.machine},
                                 {"answers", host.answers},
                                 {"cpus", host.cpus},
                                 {"busy", host.busy},
                                 {"steal", host.steal},
                                 {"load", host.load},
                                 {"memory", host.memory},
                                 {"memory_available", host.memory_available},
                                 {"disk", host.disk},
                                 {"disk_free", host.disk_free}};
  json["exceeded"] = nlohmann::ordered_json::object();
  for (const auto& [allowance, count] : host.exceeded) json["exceeded"][allowance] = count;
  return json;
}

HostUse HostFromJson(const nlohmann::ordered_json& from) {
  HostUse host;
  from.at("name").get_to(host.name);
  from.at("machine").get_to(host.machine);
  from.at("answers").get_to(host.answers);
  from.at("cpus").get_to(host.cpus);
  from.at("busy").get_to(host.busy);
  from.at("steal").get_to(host.steal);
  from.at("load").get_to(host.load);
  from.at("memory").get_to(host.memory);
  from.at("memory_available").get_to(host.memory_available);
  from.at("disk").get_to(host.disk);
  from.at("disk_free").get_to(host.disk_free);
  for (const auto& [allowance, count] : from.at("exceeded").items()) {
    host.exceeded[allowance] = count.get<double>();
  }
  return host;
}

}  // namespace

std::string BoardToJson(const BoardState& s) {
  nlohmann::ordered_json json = {
      {"seconds", s.seconds},
      {"users", s.users},
      {"finished", s.finished},
      {"messages", s.messages},
      {"stored", s.stored},
      {"delivered", s.delivered},
      {"stored_rate", s.stored_rate},
      {"delivered_rate", s.delivered_rate},
      {"alive", s.alive},
      {"expected", s.expected},
      {"missing", s.missing},
      {"refused", s.refused},
      {"refused_rate", s.refused_rate},
  };
  json["reasons"] = nlohmann::ordered_json::object();
  for (const auto& [reason, count] : s.reasons) json["reasons"][reason] = count;
  json["roles"] = nlohmann::ordered_json::array();
  for (const BoardState::Role& role : s.roles) {
    json["roles"].push_back(
        {{"name", role.name}, {"processes", role.processes}, {"cores", role.cores}});
  }
  json["cpus"] = s.cpus;
  json["busy"] = s.busy;
  json["steal"] = s.steal;
  json["fetched_per_host"] = s.fetched_per_host;
  json["hosts"] = nlohmann::ordered_json::array();
  for (const HostUse& host : s.hosts) json["hosts"].push_back(HostJson(host));
  json["cells"] = nlohmann::ordered_json::array();
  for (const BoardState::Cell& cell : s.cells) {
    json["cells"].push_back({{"where", cell.where},
                             {"finished", cell.finished},
                             {"gained", cell.gained},
                             {"answers", cell.answers}});
  }
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::optional<BoardState> BoardFromJson(std::string_view line) {
  try {
    const auto json = nlohmann::ordered_json::parse(line);
    BoardState s;
    const auto get = [](const auto& from, const char* key, auto* to) {
      if (const auto at = from.find(key); at != from.end()) at->get_to(*to);
    };
    get(json, "seconds", &s.seconds);
    get(json, "users", &s.users);
    get(json, "finished", &s.finished);
    get(json, "messages", &s.messages);
    get(json, "stored", &s.stored);
    get(json, "delivered", &s.delivered);
    get(json, "stored_rate", &s.stored_rate);
    get(json, "delivered_rate", &s.delivered_rate);
    get(json, "alive", &s.alive);
    get(json, "expected", &s.expected);
    get(json, "missing", &s.missing);
    get(json, "refused", &s.refused);
    get(json, "refused_rate", &s.refused_rate);
    get(json, "cpus", &s.cpus);
    get(json, "busy", &s.busy);
    get(json, "steal", &s.steal);
    get(json, "fetched_per_host", &s.fetched_per_host);
    if (const auto hosts = json.find("hosts"); hosts != json.end()) {
      for (const auto& from : *hosts) s.hosts.push_back(HostFromJson(from));
    }
    for (const auto& [reason, count] : json.at("reasons").items()) {
      s.reasons.emplace_back(reason, count.get<std::uint64_t>());
    }
    for (const auto& from : json.at("roles")) {
      BoardState::Role& role = s.roles.emplace_back();
      from.at("name").get_to(role.name);
      get(from, "processes", &role.processes);
      get(from, "cores", &role.cores);
    }
    for (const auto& from : json.at("cells")) {
      BoardState::Cell& cell = s.cells.emplace_back();
      from.at("where").get_to(cell.where);
      get(from, "finished", &cell.finished);
      get(from, "gained", &cell.gained);
      get(from, "answers", &cell.answers);
    }
    return s;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace baiwan::monitor
