#include "cell/logic/resident.h"

#include <boost/unordered/unordered_flat_map.hpp>

#include "base/rng.h"

namespace baiwan::cell {
namespace {

struct MixHash {
  using is_avalanching = void;
  std::size_t operator()(UserId user) const { return Mix(user); }
};

}  // namespace

struct Residents::Table {
  boost::unordered_flat_map<UserId, std::unique_ptr<Resident>, MixHash> map;
};

Residents::Residents() : table_(std::make_unique<Table>()) {}
Residents::~Residents() = default;

Resident* Residents::Find(UserId user) const {
  const auto it = table_->map.find(user);
  return it == table_->map.end() ? nullptr : it->second.get();
}

Resident& Residents::Insert(std::unique_ptr<Resident> resident) {
  Resident& r = *resident;
  table_->map[r.user.id()] = std::move(resident);
  by_use.push_back(r);
  return r;
}

void Residents::Erase(Resident& resident) { table_->map.erase(resident.user.id()); }

std::size_t Residents::size() const { return table_->map.size(); }

void Residents::Touch(Resident& r) {
  r.by_use.unlink();
  by_use.push_back(r);
}

void Residents::MarkChanged(Resident& r, Lsn before) {
  if (r.by_change.is_linked()) return;
  r.first_change = before;
  by_change.push_back(r);
}

void Residents::MarkClean(Resident& r) {
  if (r.by_change.is_linked()) r.by_change.unlink();
}

void Residents::SetPending(Resident& r, bool pending) {
  if (pending == r.by_pending.is_linked()) return;
  if (pending) {
    by_pending.push_back(r);
  } else {
    r.by_pending.unlink();
  }
}

void Residents::SetReorder(Resident& r, bool waits) {
  if (r.by_reorder.is_linked()) r.by_reorder.unlink();
  if (waits) by_reorder.push_back(r);
}

}  // namespace baiwan::cell
