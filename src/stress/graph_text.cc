#include "stress/graph_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

namespace baiwan::stress {
namespace {

constexpr std::size_t kChunk = 1 << 20;
constexpr std::size_t kMaxLine = 256;  // three numbers of 20 digits are far less

struct Relation {
  UserId user = 0;
  UserId other = 0;

  auto operator<=>(const Relation&) const = default;  // NOLINT(modernize-use-nullptr): its own 0
};

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
File OpenFile(const std::string& path, const char* mode) {
  return {std::fopen(path.c_str(), mode), &std::fclose};
}
std::string SystemError(const std::string& path) {
  return fmt::format("{}: {}", path, std::strerror(errno));
}
std::string At(const std::string& path, std::uint64_t line, std::string_view what) {
  return fmt::format("{}:{}: {}", path, line, what);
}

// Calls `each` with every line and its number (from 1) until it returns a sentence. That sentence,
// or nothing.
std::optional<std::string> ForEachLine(
    const std::string& path,
    const std::function<std::optional<std::string>(std::uint64_t, std::string_view)>& each) {
  const File file = OpenFile(path, "rb");
  if (file == nullptr) return SystemError(path);
  std::vector<char> buffer(kChunk);
  std::size_t held = 0;
  std::uint64_t number = 0;
  for (bool end = false; !end;) {
    const std::size_t got = std::fread(buffer.data() + held, 1, buffer.size() - held, file.get());
    if (got == 0 && std::ferror(file.get()) != 0) return SystemError(path);
    end = got == 0;
    held += got;
    std::string_view left(buffer.data(), held);
    if (end && !left.empty() && left.back() != '\n') {  // there is room: a line is far shorter
      buffer[held++] = '\n';
      left = {buffer.data(), held};
    }
    for (auto stop = left.find('\n'); stop != std::string_view::npos; stop = left.find('\n')) {
      std::string_view line = left.substr(0, stop);
      left.remove_prefix(stop + 1);
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      if (auto wrong = each(++number, line)) return wrong;
    }
    if (left.size() > kMaxLine) return At(path, number + 1, "is longer than any relation");
    std::memmove(buffer.data(), left.data(), left.size());
    held = left.size();
  }
  return std::nullopt;
}

// What is wrong with the line, or nothing. An empty line gives a relation of zeros.
std::optional<std::string> ParseLine(std::string_view line, Relation* relation) {
  *relation = {};
  if (line.empty()) return std::nullopt;
  const auto fields = static_cast<std::size_t>(std::count(line.begin(), line.end(), ',')) + 1;
  if (fields < 2 || fields > 3) {
    return fmt::format("has {} fields; a line is user,friend or user,friend,cell", fields);
  }
  for (UserId* id : {&relation->user, &relation->other}) {
    const std::string_view field = line.substr(0, line.find(','));
    line.remove_prefix(std::min(field.size() + 1, line.size()));
    const auto [stop, error] = std::from_chars(field.data(), field.data() + field.size(), *id);
    if (error != std::errc() || stop != field.data() + field.size() || *id == 0 ||
        *id > kMaxUserId) {
      return fmt::format("'{}' is not a user id: 1 to 18 digits, and not 0", field.substr(0, 40));
    }
  }
  if (relation->user == relation->other) {
    return fmt::format("user {} is its own friend", relation->user);
  }
  return std::nullopt;
}

// The number of the `nth` line (from 1) for which `is` holds; for messages only, so that reading
// need not remember line numbers.
template <class Is>
std::uint64_t LineOf(const std::string& path, std::uint64_t nth, const Is& is) {
  std::uint64_t found = 0;
  (void)ForEachLine(path, [&](std::uint64_t number, std::string_view line) {
    Relation relation;
    std::optional<std::string> stop;
    if (!ParseLine(line, &relation) && is(relation) && --nth == 0) {
      found = number;
      stop = "found";
    }
    return stop;
  });
  return found;
}

// `relations` are in order. What is wrong, or nothing.
std::optional<std::string> Check(const std::string& path, const std::vector<Relation>& relations) {
  std::uint64_t of_user = 0;
  for (std::size_t i = 0; i < relations.size(); ++i) {
    const Relation& r = relations[i];
    const auto same = [&r](const Relation& other) { return other == r; };
    if (i > 0 && relations[i - 1] == r) {
      return At(path, LineOf(path, 2, same),
                fmt::format("user {} has friend {} twice, first in line {}", r.user, r.other,
                            LineOf(path, 1, same)));
    }
    of_user = i > 0 && relations[i - 1].user == r.user ? of_user + 1 : 1;
    if (of_user > kMaxFriends) {
      const auto line = LineOf(path, kMaxFriends + 1,
                               [&r](const Relation& other) { return other.user == r.user; });
      return At(path, line, fmt::format("user {} has more than {} friends", r.user, kMaxFriends));
    }
    if (!std::binary_search(relations.begin(), relations.end(), Relation{r.other, r.user})) {
      return At(path, LineOf(path, 1, same),
                fmt::format("user {} has friend {}, but there is no line {},{}", r.user, r.other,
                            r.other, r.user));
    }
  }
  return std::nullopt;
}

CellGraph ToGraph(const std::vector<Relation>& relations) {
  std::vector<UserId> users;
  std::vector<std::uint64_t> offsets;
  std::vector<UserId> friends;
  friends.reserve(relations.size());
  for (const Relation& r : relations) {
    if (users.empty() || users.back() != r.user) {
      users.push_back(r.user);
      offsets.push_back(friends.size());
    }
    friends.push_back(r.other);
  }
  offsets.push_back(friends.size());
  return {std::move(users), std::move(offsets), std::move(friends)};
}

}  // namespace

Result<CellGraph, std::string> ReadGraphText(const std::string& path) {
  std::vector<Relation> relations;
  auto wrong = ForEachLine(
      path, [&](std::uint64_t number, std::string_view line) -> std::optional<std::string> {
        Relation relation;
        if (const auto bad = ParseLine(line, &relation)) return At(path, number, *bad);
        if (relation.user == 0) return std::nullopt;
        if (relations.size() == kMaxTextRelations) {
          return At(path, number, fmt::format("is beyond {} relations", kMaxTextRelations));
        }
        relations.push_back(relation);
        return std::nullopt;
      });
  if (wrong) return *wrong;
  if (relations.empty()) return fmt::format("{}: has no relations", path);
  std::sort(relations.begin(), relations.end());
  if ((wrong = Check(path, relations))) return *wrong;
  return ToGraph(relations);
}

CellGraph ShareOf(const CellGraph& all, const placement::PlacementTable& table, CellId cell) {
  std::vector<UserId> users;
  std::vector<std::uint64_t> offsets = {0};
  std::vector<UserId> friends;
  for (std::size_t i = 0; i < all.users(); ++i) {
    if (table.CellOf(all.user(i)) != cell) continue;
    const auto own = all.friends(i);
    users.push_back(all.user(i));
    friends.insert(friends.end(), own.begin(), own.end());
    offsets.push_back(friends.size());
  }
  return {std::move(users), std::move(offsets), std::move(friends)};
}

std::optional<std::string> WriteGraphText(const std::string& path,
                                          std::span<const CellGraph> graphs,
                                          const placement::PlacementTable& table) {
  File file = OpenFile(path, "wb");
  if (file == nullptr) return SystemError(path);
  fmt::memory_buffer lines;
  const auto flush = [&] {
    const bool good = std::fwrite(lines.data(), 1, lines.size(), file.get()) == lines.size();
    lines.clear();
    return good;
  };
  for (const CellGraph& graph : graphs) {
    for (std::size_t i = 0; i < graph.users(); ++i) {
      for (const UserId other : graph.friends(i)) {
        fmt::format_to(fmt::appender(lines), "{},{},{}\n", graph.user(i), other,
                       table.CellOf(other));
      }
      if (lines.size() >= kChunk && !flush()) return SystemError(path);
    }
  }
  if (!flush() || std::fclose(file.release()) != 0) return SystemError(path);
  return std::nullopt;
}

}  // namespace baiwan::stress
