#include "registry/directory.h"

#include <fmt/format.h>

#include <algorithm>

namespace baiwan::registry {

bool IsRole(std::string_view role) {
  return std::any_of(std::begin(kRoles), std::end(kRoles),
                     [role](const char* r) { return role == r; });
}

std::string ServiceKey::ToString() const {
  return fmt::format("{} {} of cell {}", role, name, cell);
}

const Service* Directory::Find(std::string_view role, CellId cell) const {
  for (const Service& s : services()) {
    if (s.cell == cell && s.role == role) return &s;
  }
  return nullptr;
}

std::map<CellId, Endpoint> Directory::ByCell(std::string_view role) const {
  std::map<CellId, Endpoint> found;
  for (const Service& s : services()) {
    if (s.role == role) found.try_emplace(s.cell, s.endpoint);
  }
  return found;
}

void StaticDirectory::Listen(std::function<void()> on_change) {
  listeners_.push_back(std::move(on_change));
  if (!services_.empty()) listeners_.back()();
}

void StaticDirectory::Set(std::vector<Service> services) {
  services_ = std::move(services);
  for (const auto& listener : listeners_) listener();
}

}  // namespace baiwan::registry
