#include "store/testing/store_fixture.h"

#include <deque>
#include <utility>

namespace baiwan::store::testing {

using wire::Box;

void StoreFixture::Close() {
  store = nullptr;
  kv = nullptr;
}

void StoreFixture::OpenEngine() {
  Close();
  auto opened = world_->Open(&loop);
  ASSERT_TRUE(opened.ok()) << Message(opened.error());
  kv = std::move(*opened);
}

StoreError StoreFixture::Reopen() {
  OpenEngine();
  return OpenStore();
}

StoreError StoreFixture::OpenStore() {
  store = nullptr;
  auto opened = Store::Open(*kv, kStream, options, &report);
  if (!opened) return opened.error();
  store = std::move(*opened);
  return StoreError{};
}

StoreFixture::Contents StoreFixture::contents() {
  Contents all;
  for (std::size_t i = 0; i < kSpaces; ++i) {
    const KvError scanned = kv->ScanNow(static_cast<Space>(i), {}, {}, [&](auto key, auto value) {
      all[i].emplace(key, value);
      return true;
    });
    EXPECT_EQ(scanned, KvError::kNone);
  }
  return all;
}

void StoreFixture::Replace(const Contents& all) {
  WriteSet writes;
  for (std::size_t i = 0; i < kSpaces; ++i) {
    writes.deletes.push_back({static_cast<Space>(i), "", ""});
    for (const auto& [key, value] : all[i]) {
      writes.puts.push_back({static_cast<Space>(i), key, value});
    }
  }
  EXPECT_EQ(kv->CommitNow(writes), KvError::kNone);
}

void StoreFixture::Put(Space space, const std::string& key, const std::string& value) {
  WriteSet writes;
  writes.puts.push_back({space, key, value});
  EXPECT_EQ(kv->CommitNow(writes), KvError::kNone);
}

void StoreFixture::Erase(Space space, const std::string& key) {
  WriteSet writes;
  writes.deletes.push_back({space, key, key + '\0'});
  EXPECT_EQ(kv->CommitNow(writes), KvError::kNone);
}

StoreError StoreFixture::CommitAndWait(wire::CommitBatch& batch) {
  std::optional<StoreError> result;
  store->Commit(batch, [&](StoreError error) { result = error; });
  EXPECT_TRUE(loop.RunUntil([&] { return result.has_value(); }));
  return result.value_or(StoreError::kIo);
}

void StoreFixture::CommitRandom(int commits, int operations) {
  std::deque<wire::CommitBatch> batches;
  int done = 0;
  for (int i = 0; i < commits; ++i) {
    wire::CommitBatch& batch = batches.emplace_back();
    model.Fill(batch, store->next_lsn(), 1 + static_cast<int>(model.rng().Below(operations)));
    store->Commit(batch, [&done, i](StoreError error) {
      EXPECT_EQ(error, StoreError{}) << Message(error);
      EXPECT_EQ(done++, i);
    });
    if (model.rng().Chance(0.3)) loop.Turn();
  }
  EXPECT_TRUE(loop.RunUntil([&] { return done == commits; }));
}

Result<wire::UserRecord, StoreError> StoreFixture::Load(const ModelUser& user) {
  std::optional<Result<wire::UserRecord, StoreError>> result;
  store->Load(user.partition, user.record.user, [&](auto loaded) { result = std::move(loaded); });
  EXPECT_TRUE(loop.RunUntil([&] { return result.has_value(); }));
  return result.has_value() ? std::move(*result) : StoreError::kIo;
}

Result<BoxPage, StoreError> StoreFixture::Read(UserId user, Box box, Lsn head, Seq from,
                                               std::uint32_t limit, std::size_t max_bytes) {
  std::optional<Result<BoxPage, StoreError>> result;
  store->ReadBox(user, box, head, from, limit, max_bytes,
                 [&](auto page) { result.emplace(std::move(page)); });
  EXPECT_FALSE(result.has_value()) << "called back in the same turn";
  EXPECT_TRUE(loop.RunUntil([&] { return result.has_value(); }));
  if (!result.has_value()) return StoreError::kIo;
  return std::move(*result);
}

Result<std::vector<StoredMessage>, StoreError> StoreFixture::ReadAll(UserId user, Box box,
                                                                     Lsn head) {
  std::vector<StoredMessage> all;
  while (true) {
    const auto limit = static_cast<std::uint32_t>(1 + model.rng().Below(100));
    auto page = Read(user, box, head, all.size() + 1, limit, 1 + model.rng().Below(20'000));
    if (!page) return page.error();
    if (page->messages.empty()) return all;
    EXPECT_LE(page->messages.size(), limit);
    for (const wire::Message& m : page->messages) all.push_back({m, std::string(m.body)});
  }
}

bool operator==(const StoredMessage& a, const StoredMessage& b) {
  const auto fields = [](const wire::Message& m) {
    return std::make_tuple(m.seq, m.peer, m.pair_seq, m.send_id, m.timestamp_ms, m.checksum, m.kind,
                           m.reason);
  };
  return fields(a.message) == fields(b.message) && a.body == b.body;
}

StoreFixture::Verdict StoreFixture::Judge(const ModelUser& user) {
  auto loaded = Load(user);
  if (!loaded) return Verdict::kRefused;
  wire::UserRecord found = *loaded;
  wire::UserRecord wanted = user.record;
  wire::FinishFold(found);
  wire::FinishFold(wanted);
  if (found.send_ack_id > found.send_id) return Verdict::kDiffers;
  // While something is pending the store knows a lower bound only.
  found.send_ack_id = wanted.send_ack_id = 0;
  found.as_of = wanted.as_of = 0;
  if (!(found == wanted)) return Verdict::kDiffers;
  const auto out = ReadAll(wanted.user, Box::kOut, found.heads.out);
  const auto in = ReadAll(wanted.user, Box::kIn, found.heads.in);
  if (!out || !in) return Verdict::kRefused;
  return *out == user.out && *in == user.in ? Verdict::kRight : Verdict::kDiffers;
}

void StoreFixture::ExpectAllMatch() {
  for (const auto& [id, user] : model.users()) {
    EXPECT_EQ(Judge(user), Verdict::kRight) << "user " << id;
  }
}

}  // namespace baiwan::store::testing
