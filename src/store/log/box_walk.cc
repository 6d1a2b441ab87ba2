#include "store/log/box_walk.h"

#include <algorithm>
#include <utility>

#include "store/log/keys.h"
#include "store/log/store_error.h"

namespace baiwan::store {

BoxWalk::BoxWalk(WalkContext context, UserId user, wire::Box box, Wanted wanted)
    : context_(std::move(context)), user_(user), box_(box), wanted_(std::move(wanted)) {}

BoxWalk::~BoxWalk() { Hold(0); }

void BoxWalk::Start() {
  context_.kv.Post([self = shared_from_this()] { self->Run(); });
}

void BoxWalk::Run() {
  if (context_.store.expired()) return;
  running_ = true;
  for (std::uint32_t steps = 0; !finished_ && !waiting_; ++steps) {
    if (wanted_ != nullptr && !*wanted_) {
      Finish(StoreError::kCancelled);
    } else if (at_ == 0) {
      Finish(StoreError{});
    } else if (steps == context_.max_steps) {
      Start();
      break;
    } else if (const std::string* block = context_.recent.Find(at_); block != nullptr) {
      OnBlock(KvError::kNone, *block);
    } else {
      waiting_ = true;
      context_.kv.Get(Space::kLog, LogKey(context_.stream, at_),
                      [self = shared_from_this()](KvError error, const std::string& value) {
                        if (self->context_.store.expired()) return;
                        self->waiting_ = false;
                        self->OnBlock(error, value);
                        // An engine without a loop calls back at once, from inside Run.
                        if (!self->running_) self->Run();
                      });
    }
  }
  running_ = false;
}

void BoxWalk::OnBlock(KvError error, std::string_view block) {
  // A back-link that leads nowhere is damage.
  const StoreError result = error == KvError::kNotFound ? StoreError::kCorrupt
                            : error != KvError::kNone   ? ToStoreError(error)
                                                        : Take(block);
  if (result != StoreError{}) Finish(result);
}

StoreError BoxWalk::Take(std::string_view block) {
  BlockReader reader(context_.stream, at_, block);
  if (reader.health() == BlockHealth::kNewer) return StoreError::kVersion;
  const auto type = box_ == wire::Box::kOut ? SectionType::kOutbox : SectionType::kInbox;
  BlockReader::Item item;
  bool found = false;
  while (!found && reader.Next(&item)) {
    found = item.good && item.type == type && OwnerOf(item.payload).user == user_;
  }
  if (!found) return StoreError::kCorrupt;
  const BoxSection section(box_, item.payload);
  const bool joins = newer_ == 0 || section.first() + section.count() == newer_;
  const bool begins_rightly = (section.previous() == 0) == (section.first() == 1);
  if (!section.ok() || !joins || !begins_rightly || section.previous() >= at_) {
    return StoreError::kCorrupt;
  }
  newer_ = section.first();
  trail_.Add(section.first(), at_, item.payload.size());
  at_ = section.first() <= down_to() ? 0 : section.previous();
  if (!OnSection(item.payload, section)) return StoreError::kCorrupt;
  Hold(held_bytes() + trail_.points().size() * sizeof(ChainPoint));
  return StoreError{};
}

void BoxWalk::Finish(StoreError error) {
  finished_ = true;
  if (error == StoreError{}) context_.index.Learn(user_, box_, trail_);
  OnEnd(error);
}

void BoxWalk::Hold(std::size_t bytes) {
  if (const auto store = context_.store.lock()) store->Change(held_, bytes);
  held_ = bytes;
}

// ---------------------------------------------------------------- pages

PageWalk::PageWalk(WalkContext context, const PageRequest& request, Wanted wanted,
                   Store::ReadFn done)
    : BoxWalk(std::move(context), request.user, request.box, std::move(wanted)),
      request_(request),
      done_(std::move(done)) {
  at_ = context_.index.Start(request.user, request.box, request.head, request.from, request.limit,
                             request.max_bytes);
}

bool PageWalk::OnSection(std::string_view payload, BoxSection section) {
  pieces_.push_front({std::make_unique<std::string>(payload), section.first(), section.count()});
  messages_ += section.count();
  bytes_ += payload.size();
  if (at_ != 0) Trim();
  return true;
}

// All pieces lie behind the page's begin: the newest are dropped while the others fill a page.
void PageWalk::Trim() {
  while (pieces_.size() > 1) {
    const Piece& newest = pieces_.back();
    const bool full = messages_ - newest.count >= request_.limit ||
                      bytes_ - newest.payload->size() >= request_.max_bytes;
    if (!full) return;
    messages_ -= newest.count;
    bytes_ -= newest.payload->size();
    pieces_.pop_back();
  }
}

void PageWalk::OnEnd(StoreError error) {
  BoxPage page;
  if (error == StoreError{} && !Fill(page)) error = StoreError::kCorrupt;
  if (error != StoreError{}) return done_(error);
  done_(std::move(page));
}

bool PageWalk::Fill(BoxPage& page) {
  std::size_t bytes = 0;
  bool full = false;
  for (Piece& piece : pieces_) {
    BoxSection section(request_.box, *piece.payload);
    const std::size_t before = page.messages.size();
    wire::Message message;
    while (!full && section.Next(&message)) {
      if (message.seq < request_.from) continue;
      page.messages.push_back(message);
      bytes += message.body.size();
      full = page.messages.size() >= request_.limit || bytes >= request_.max_bytes;
    }
    if (!section.ok()) return false;
    if (page.messages.size() > before) page.blocks.push_back(std::move(piece.payload));
    if (full) break;
  }
  return true;
}

// ---------------------------------------------------------------- single messages

FindWalk::FindWalk(WalkContext context, UserId user, wire::Box box, Lsn head, std::vector<Seq> seqs,
                   Wanted wanted, Store::FoundFn found, Store::FindFn done)
    : BoxWalk(std::move(context), user, box, std::move(wanted)),
      seqs_(std::move(seqs)),
      lowest_(seqs_.front()),
      found_(std::move(found)),
      done_(std::move(done)) {
  at_ = context_.index.Start(user, box, head, seqs_.back(), 1, 1);
}

bool FindWalk::OnSection(std::string_view, BoxSection section) {
  const auto begin = std::lower_bound(seqs_.begin(), seqs_.end(), section.first());
  if (begin == seqs_.end()) return true;
  auto next = begin;
  wire::Message message;
  while (section.Next(&message)) {
    if (next == seqs_.end() || message.seq != *next) continue;
    found_(message);
    ++next;
  }
  seqs_.erase(begin, seqs_.end());
  return section.ok();
}

}  // namespace baiwan::store
