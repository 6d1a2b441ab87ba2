#include "verify/owner.h"

#include <fmt/format.h>

#include <charconv>
#include <map>

#include "verify/decode.h"

namespace baiwan::verify {
namespace {

// Reads the records one after the other; the first that is missing or damaged is what is wrong.
class OwnerReader {
 public:
  OwnerReader(const std::string& path, const StoppedStore& files) : path_(path), files_(files) {}

  void Text(const char* key, std::string* out) {
    std::string value;
    if (!Get(key, &value)) return;
    auto text = ParseMetaText(key, value);
    if (!text) return Damaged(key);
    *out = std::move(*text);
  }
  void Number(const char* key, std::uint64_t* out) {
    std::string value;
    if (!Get(key, &value)) return;
    const auto number = ParseMeta(key, value);
    if (!number) return Damaged(key);
    *out = *number;
  }
  void Streams(std::map<std::uint16_t, std::uint64_t>* out) {
    const std::string prefix = "cell/";
    auto wrong =
        files_.Scan(Space::kMeta, prefix, "", [&](std::string_view key, std::string_view value) {
          if (key.substr(0, prefix.size()) != prefix) return false;
          std::uint16_t stream = 0;
          const char* end = key.data() + key.size();
          const auto [at, error] = std::from_chars(key.data() + prefix.size(), end, stream);
          const auto number = ParseMeta(key, value);
          if (error != std::errc{} || at != end || !number) {
            Damaged(key);
            return false;
          }
          (*out)[stream] = *number;
          return true;
        });
    if (wrong && wrong_.empty()) wrong_ = std::move(*wrong);
  }
  const std::string& wrong() const { return wrong_; }

 private:
  bool Get(const char* key, std::string* value) {
    const auto got = files_.Get(Space::kMeta, key, value);
    if (!wrong_.empty()) return false;
    if (!got) {
      wrong_ = got.error();
    } else if (!*got) {
      wrong_ =
          fmt::format("store {} does not say whose it is: its record '{}' is missing", path_, key);
    }
    return wrong_.empty();
  }
  void Damaged(std::string_view key) {
    if (wrong_.empty()) wrong_ = fmt::format("store {}: its record '{}' is damaged", path_, key);
  }

  const std::string& path_;
  const StoppedStore& files_;
  std::string wrong_;
};

}  // namespace

Result<StoreOwner, std::string> ReadStoreOwner(const std::string& path, const StoppedStore& files) {
  StoreOwner owner;
  OwnerReader reader(path, files);
  reader.Text("deployment", &owner.deployment);
  reader.Number("cells", &owner.cells);
  reader.Number("partitions", &owner.partitions);
  reader.Number("life", &owner.life);
  reader.Streams(&owner.cells_by_stream);
  if (!reader.wrong().empty()) return reader.wrong();
  return owner;
}

std::optional<std::string> WrongOwner(const std::string& path, const StoreOwner& owner,
                                      const stress::WorkloadSpec& spec) {
  if (owner.partitions != spec.partitions) {
    return fmt::format("store {} is of a deployment with {} partitions, the test has {}", path,
                       owner.partitions, spec.partitions);
  }
  for (const auto& [stream, cell] : owner.cells_by_stream) {
    if (cell < owner.cells) continue;
    return fmt::format("store {}: stream {} is of cell {}, but its deployment has {} cells", path,
                       stream, cell, owner.cells);
  }
  return std::nullopt;
}

std::vector<std::string> OwnersTogether(const std::vector<std::string>& paths,
                                        const std::vector<std::optional<StoreOwner>>& owners) {
  std::vector<std::string> wrong;
  std::optional<std::size_t> first;
  std::map<std::uint64_t, std::size_t> by_cell;
  for (std::size_t i = 0; i < owners.size(); ++i) {
    if (!owners[i]) continue;
    if (!first) first = i;
    const StoreOwner& a = *owners[*first];
    const StoreOwner& b = *owners[i];
    if (a.deployment != b.deployment || a.cells != b.cells) {
      wrong.push_back(
          fmt::format("store {} is of deployment '{}' with {} cells, store {} of '{}' with {}",
                      paths[*first], a.deployment, a.cells, paths[i], b.deployment, b.cells));
    }
    for (const auto& [stream, cell] : b.cells_by_stream) {
      const auto [it, is_new] = by_cell.try_emplace(cell, i);
      if (is_new) continue;
      wrong.push_back(fmt::format("cell {} stands in two stores, {} and {}: one of them is a copy",
                                  cell, paths[it->second], paths[i]));
    }
  }
  return wrong;
}

}  // namespace baiwan::verify
