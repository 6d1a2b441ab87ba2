// A store on some engine beside its model, and the comparison of the two.
//
// One thread, driving a TestLoop. Failures are reported to GoogleTest, with the user's number.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/log/store.h"
#include "store/testing/kv_world.h"
#include "store/testing/store_model.h"

namespace baiwan::store::testing {

class StoreFixture {
 public:
  StoreFixture(std::unique_ptr<KvWorld> world, std::uint64_t seed)
      : model(seed), world_(std::move(world)) {}
  ~StoreFixture() { Close(); }

  // Everything that was not committed is gone; then opens again. What Open said.
  StoreError Reopen();
  void Close();
  // The engine alone, to look into it or to change what stands there.
  void OpenEngine();
  // The store on the engine that is open; the one before, if any, just stops.
  StoreError OpenStore();

  using Contents = std::array<std::map<std::string, std::string>, kSpaces>;
  Contents contents();                     // of the engine
  void Replace(const Contents& contents);  // by these
  void Put(Space space, const std::string& key, const std::string& value);
  void Erase(Space space, const std::string& key);
  static constexpr std::uint16_t kStream = 3;

  StoreError CommitAndWait(wire::CommitBatch& batch);
  // `commits` random batches, some of them under way at the same time.
  void CommitRandom(int commits, int operations);

  StoreError Import() { return store->ImportNow(model.Records()); }
  Result<wire::UserRecord, StoreError> Load(const ModelUser& user);
  // Page by page, pages of random size.
  Result<std::vector<StoredMessage>, StoreError> ReadAll(UserId user, wire::Box box, Lsn head);
  Result<BoxPage, StoreError> Read(UserId user, wire::Box box, Lsn head, Seq from,
                                   std::uint32_t limit, std::size_t max_bytes = 1 << 20);

  // What a reader of the store learns of a user: counters, friends and both boxes exactly as the
  // model has them, an error, or something else.
  enum class Verdict { kRight, kRefused, kDiffers };
  Verdict Judge(const ModelUser& user);

  void ExpectAllMatch();

  TestLoop loop;
  StoreModel model;
  StoreOptions options;
  RecoveryReport report;
  std::unique_ptr<Kv> kv;
  std::unique_ptr<Store> store;

 private:
  std::unique_ptr<KvWorld> world_;
};

bool operator==(const StoredMessage& a, const StoredMessage& b);

}  // namespace baiwan::store::testing
