#include "store/log/chain_index.h"

#include <algorithm>

namespace baiwan::store {
namespace {

constexpr std::size_t kChainBytes = 200;  // of a box without its points, about

// Keeps every second of the points [begin, end), whose neighbours take over their bytes.
void ThinOut(std::vector<ChainPoint>& points, std::size_t begin, std::size_t end) {
  std::size_t kept = begin;
  for (std::size_t i = begin; i < end; ++i) {
    if ((i - begin) % 2 == 0) {
      points[kept++] = points[i];
    } else {
      points[kept - 1].bytes += points[i].bytes;
    }
  }
  points.erase(points.begin() + static_cast<std::ptrdiff_t>(kept),
               points.begin() + static_cast<std::ptrdiff_t>(end));
}

}  // namespace

void WalkTrail::Add(Seq first, Lsn lsn, std::size_t bytes) {
  if (points_.size() == kMaxPoints) Thin();
  points_.push_back({first, lsn, bytes});
}

// Gaps may be as long as a sixteenth of their distance from where the walk is.
void WalkTrail::Thin() {
  const Seq here = points_.back().first;
  std::size_t kept = 1;
  for (std::size_t i = 1; i < points_.size(); ++i) {
    ChainPoint& last = points_[kept - 1];
    const bool dense = i + kDense >= points_.size();
    if (dense || last.first - points_[i + 1].first > (points_[i].first - here) / 16) {
      points_[kept++] = points_[i];
    } else {
      last.bytes += points_[i].bytes;
    }
  }
  points_.resize(kept);
  // Of sections with very many messages each, more may be left.
  if (kept > kMaxPoints / 2 + kDense) ThinOut(points_, 0, kept - kDense);
}

Lsn ChainIndex::Start(UserId user, wire::Box box, Lsn head, Seq from, std::uint64_t limit,
                      std::uint64_t max_bytes) {
  const auto at = chains_.find({user, box});
  if (at == chains_.end()) return head;
  by_use_.splice(by_use_.end(), by_use_, at->second.use);
  const std::vector<ChainPoint>& points = at->second.points;
  // The oldest point at or behind `from`, then towards newer ones until there is enough between.
  auto it = std::partition_point(points.begin(), points.end(),
                                 [from](const ChainPoint& p) { return p.first >= from; });
  std::uint64_t bytes = 0;
  bool oldest = true;
  while (it != points.begin()) {
    --it;
    if (it->first - from >= limit || bytes >= max_bytes) return it->lsn <= head ? it->lsn : head;
    // What lies between the oldest one and the next may be before `from`.
    if (!std::exchange(oldest, false)) bytes += it->bytes;
  }
  return head;
}

void ChainIndex::Learn(UserId user, wire::Box box, const WalkTrail& trail) {
  const std::vector<ChainPoint>& seen = trail.points();
  if (seen.size() < kShortWalk) return;
  const auto [at, is_new] = chains_.try_emplace({user, box});
  Chain& chain = at->second;
  if (is_new) {
    chain.use = by_use_.insert(by_use_.end(), at->first);
  } else {
    bytes_ -= BytesOf(chain);
    by_use_.splice(by_use_.end(), by_use_, chain.use);
  }
  std::vector<ChainPoint> points;
  const auto newer =
      std::partition_point(chain.points.begin(), chain.points.end(),
                           [&seen](const ChainPoint& p) { return p.first > seen.front().first; });
  const auto older = std::partition_point(newer, chain.points.end(), [&seen](const ChainPoint& p) {
    return p.first >= seen.back().first;
  });
  points.assign(chain.points.begin(), newer);
  const std::size_t begin = points.size();
  points.insert(points.end(), seen.begin(), seen.end());
  const std::size_t end = points.size();
  points.insert(points.end(), older, chain.points.end());
  if (points.size() > kMaxPoints) {
    ThinOut(points, end, points.size());
    ThinOut(points, 0, begin);
  }
  points.shrink_to_fit();
  chain.points = std::move(points);
  bytes_ += BytesOf(chain);
  Shrink();
}

void ChainIndex::Clear() {
  chains_.clear();
  by_use_.clear();
  bytes_ = 0;
  Charge();
}

std::size_t ChainIndex::BytesOf(const Chain& chain) {
  return kChainBytes + chain.points.capacity() * sizeof(ChainPoint);
}

bool ChainIndex::TooLarge() const {
  return bytes_ > max_bytes_ || (budget_ != nullptr && budget_->full());
}

void ChainIndex::Shrink() {
  Charge();
  while (!chains_.empty() && TooLarge()) {
    const auto oldest = chains_.find(by_use_.front());
    bytes_ -= BytesOf(oldest->second);
    chains_.erase(oldest);
    by_use_.pop_front();
    Charge();
  }
}

void ChainIndex::Charge() {
  if (budget_ == nullptr) return;
  if (bytes_ > charged_) {
    budget_->ChargeAlways(Account::kStore, bytes_ - charged_);
  } else {
    budget_->Release(Account::kStore, charged_ - bytes_);
  }
  charged_ = bytes_;
}

}  // namespace baiwan::store
