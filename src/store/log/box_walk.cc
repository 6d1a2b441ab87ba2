#include "store/log/box_walk.h"

#include <algorithm>
#include <utility>

#include "store/log/block.h"
#include "store/log/keys.h"
#include "store/log/store_error.h"

namespace baiwan::store {

BoxWalk::BoxWalk(WalkContext context, const BoxRequest& request, Store::ReadFn done)
    : context_(std::move(context)),
      request_(request),
      done_(std::move(done)),
      at_(context_.index.Start(request.user, request.box, request.head, request.from, request.limit,
                               request.max_bytes)) {}

void BoxWalk::Start() {
  context_.kv.Post([self = shared_from_this()] { self->Run(); });
}

void BoxWalk::Run() {
  if (context_.store.expired()) return;
  running_ = true;
  for (std::uint32_t steps = 0; !finished_ && !waiting_; ++steps) {
    if (at_ == 0) {
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
  const auto type = request_.box == wire::Box::kOut ? SectionType::kOutbox : SectionType::kInbox;
  BlockReader::Item item;
  bool found = false;
  while (!found && reader.Next(&item)) {
    found = item.good && item.type == type && OwnerOf(item.payload).user == request_.user;
  }
  if (!found) return StoreError::kCorrupt;
  const BoxSection section(request_.box, item.payload);
  const bool joins = pieces_.empty() || section.first() + section.count() == pieces_.front().first;
  const bool begins_rightly = (section.previous() == 0) == (section.first() == 1);
  if (!section.ok() || !joins || !begins_rightly || section.previous() >= at_) {
    return StoreError::kCorrupt;
  }
  pieces_.push_front(
      {std::make_unique<std::string>(item.payload), section.first(), section.count()});
  messages_ += section.count();
  bytes_ += item.payload.size();
  trail_.Add(section.first(), at_, item.payload.size());
  if (section.first() <= request_.from) {
    at_ = 0;
  } else {
    at_ = section.previous();
    Trim();
  }
  return StoreError{};
}

// All pieces lie behind the page's begin: the newest are dropped while the others fill a page.
void BoxWalk::Trim() {
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

void BoxWalk::Finish(StoreError error) {
  finished_ = true;
  if (error == StoreError{}) context_.index.Learn(request_.user, request_.box, trail_);
  BoxPage page;
  if (error == StoreError{} && !Fill(page)) error = StoreError::kCorrupt;
  const Store::ReadFn done = std::move(done_);
  if (error != StoreError{}) return done(error);
  done(std::move(page));
}

bool BoxWalk::Fill(BoxPage& page) {
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

}  // namespace baiwan::store
