#include "store/testing/crash_writer.h"

#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <deque>
#include <optional>

#include "base/checksum.h"
#include "store/engine/rocksdb_kv.h"
#include "store/log/store.h"
#include "store/testing/test_loop.h"

namespace baiwan::store::testing {
namespace {

constexpr std::size_t kUnderWay = 4;

class CrashWriter {
 public:
  CrashWriter(TestLoop& loop, Store& store) : loop_(loop), store_(store) {}

  bool Begin() {
    std::vector<std::pair<PartitionId, wire::UserRecord>> fresh;
    for (UserId id = 1; id <= kCrashUsers; ++id) {
      wire::UserRecord record;
      record.user = id;
      record.friends.resize(1);
      record.friends[0].id = 100 + id;
      fresh.emplace_back(0, record);
    }
    for (auto& [partition, record] : fresh) {
      std::optional<Result<wire::UserRecord, StoreError>> loaded;
      store_.Load(0, record.user, [&](auto result) { loaded = std::move(result); });
      if (!loop_.RunUntil([&] { return loaded.has_value(); })) return false;
      if (loaded->ok()) record = **loaded;
      users_.push_back(record);
    }
    return users_[0].send_id > 0 || store_.ImportNow(fresh) == StoreError{};
  }

  // False once a commit failed or nobody listens.
  bool Turn() {
    while (batches_.size() < kUnderWay) Commit();
    loop_.Turn(kMillisecond);
    return good_;
  }

 private:
  void Commit() {
    wire::CommitBatch& batch = batches_.emplace_back();
    for (wire::UserRecord& user : users_) {
      const std::string body = CrashBody(user.user, user.send_id + 1);
      wire::Message m;
      m.seq = m.send_id = user.send_id + 1;
      m.peer = user.friends[0].id;
      m.pair_seq = user.friends[0].sent + 1;
      m.checksum = MessageChecksum(user.user, m.peer, m.send_id, body);
      m.body = body;
      wire::FoldOut(user, m);
      batch.AddOut(batch.AddUser(user.user, 0, &user.heads, nullptr), m);
    }
    const std::uint64_t number = users_[0].send_id;
    if (number % 16 == 0) {
      for (wire::UserRecord& user : users_) batch.AddSnapshot(0, user, &user.heads);
      batch.SetCheckpoint(store_.next_lsn() - 1);
    }
    store_.Commit(batch, [this, number](StoreError error) {
      good_ = good_ && error == StoreError{} &&
              ::write(STDOUT_FILENO, &number, sizeof number) == sizeof number;
      batches_.pop_front();
    });
  }

  TestLoop& loop_;
  Store& store_;
  std::vector<wire::UserRecord> users_;
  std::deque<wire::CommitBatch> batches_;  // under way
  bool good_ = true;
};

}  // namespace

std::string CrashBody(UserId user, Seq seq) {
  return fmt::format("{}/{}/{}", user, seq, std::string(seq * user % 300, 'x'));
}

int RunCrashWriter(const std::string& path) {
  TestLoop loop;
  RocksDbOptions options;
  options.write_buffer_bytes = 256 << 10;  // so that tables are written while it runs
  const auto kv = OpenRocksDb(path, options, &loop, NoLog());
  if (!kv) return 10;
  const auto store = Store::Open(**kv, 1, {}, nullptr);
  if (!store) return 11;
  CrashWriter writer(loop, **store);
  if (!writer.Begin()) return 12;
  while (writer.Turn()) {
  }
  return 13;
}

std::uint64_t KillWriterAfter(const std::string& path, std::uint64_t least) {
  int pipe_ends[2];
  if (::pipe(pipe_ends) != 0) return 0;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, pipe_ends[0]);
  std::string arguments[] = {"store_test", "--crash-writer", path};
  char* const argv[] = {arguments[0].data(), arguments[1].data(), arguments[2].data(), nullptr};
  pid_t child = 0;
  const int failed = ::posix_spawn(&child, "/proc/self/exe", &actions, nullptr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(pipe_ends[1]);
  std::uint64_t said = 0;
  std::uint64_t count = 0;
  std::uint64_t number = 0;
  const auto next = [&] { return ::read(pipe_ends[0], &number, sizeof number) == sizeof number; };
  while (failed == 0 && count < least && next()) said = number, ++count;
  if (failed == 0) ::kill(child, SIGKILL);
  while (failed == 0 && next()) said = number;  // what it had still said
  if (failed == 0) ::waitpid(child, nullptr, 0);
  ::close(pipe_ends[0]);
  return count == least ? said : 0;
}

}  // namespace baiwan::store::testing
