// The logic server of one cell: all message processing for the users of its partitions.
//
// It joins the pure rules (mailbox) with the store: in each turn it applies what came to the users
// concerned, and at the turn's end seals one batch and hands it to the commit stream. While that
// commit is under way the next batch gathers, so batches grow with load. When it is durable, what
// it covers is released: counters to clients, forwards to friends' cells, acknowledgements, pushes.
//
// At most one commit is under way, so a user's state when a batch is sealed is exactly "durable
// plus this batch", which is what a snapshot that rides with it holds.
//
// Threads: one loop. Failure: a commit that fails ends the node (Fatal): nothing of it was shown,
// and a restart finds what is true. A user whose records do not read back is refused by name; all
// others go on. Bounds: users and what is parked for them are charged to the budget's users
// account, what waits for its number to the reorder account, what gathers and is being committed to
// the commits account; see LogicOptions for the rest.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/node_context.h"
#include "cell/logic/comparison.h"
#include "cell/logic/counters.h"
#include "cell/logic/disk_reserve.h"
#include "cell/logic/mending.h"
#include "cell/logic/read_queue.h"
#include "cell/logic/resident.h"
#include "cell/ports.h"
#include "mailbox/user.h"
#include "placement/placement.h"
#include "store/log/store.h"
#include "wire/commit_batch.h"
#include "wire/peer.pb.h"

namespace baiwan::cell {

struct LogicOptions {
  CellId cell = 0;
  std::uint64_t life = 0;  // of the store, told to clients; 0: unknown
  mailbox::Limits mailbox;
  std::uint32_t max_batch_messages = 32'768;  // a batch this full takes no submissions
  std::size_t max_batch_bytes = 16 << 20;     // likewise
  std::size_t path_credit = 1 << 20;          // bytes of forwards under way to one cell
  std::uint32_t max_loads = 256;              // users being loaded at once
  std::uint32_t max_parked = 256;             // frames that wait for one user's load
  std::uint32_t max_devices = 8;              // connections of one user
  std::uint32_t page_messages = 1000;         // most messages in one page of a box
  std::size_t page_bytes = 256 << 10;         // bodies in one page, about
  ReadLimits reads;                           // pages and other answers that are long
  ReadLimits catch_ups{24, UINT32_MAX};       // pages that are pushed, one for each session
  ReadLimits compares{8, 256};                // frames with submissions that only the disk knows
  std::uint32_t snapshots_per_commit = 500;   // while a checkpoint is being taken
  std::uint32_t heartbeat_s = 240;            // told to clients
  // What comes before its turn is kept this long, and at most half as long again.
  Nanos reorder_timeout = 60 * kSecond;
  Nanos audit_interval = 30 * kSecond;
  DiskReserve disk_reserve;
  Nanos disk_look = kSecond;
  // Sends the outcome of a submission of unknown fate back after this long.
  std::uint32_t retry_after_ms = 200;
};

class Logic final : public LogicPort,
                    public PeerPort,
                    public MetricsSource,
                    private TurnHook,
                    private mailbox::Outbound {
 public:
  // Everything named here outlives the logic server. Start before anything else.
  Logic(NodeContext& node, const LogicOptions& options, const placement::PlacementTable& table,
        store::Store& store);
  ~Logic() override;

  // The relay that reaches other cells; null while there is none.
  void SetRelay(RelayPort* relay);
  // Begins to bring back users with something unacknowledged. Blocks while it looks who they are.
  void Start();
  // Refuses new work, commits and releases what is under way, writes the snapshots of all changed
  // users, then calls `done`. Part of stopping; bounded by the caller's deadline.
  void Drain(std::function<void()> done);

  // LogicPort
  void FromClient(ClientPort& from, SessionId session, UserId user,
                  const wire::ClientFrame& frame) override;
  void SessionClosed(ClientPort& from, SessionId session, UserId user) override;
  void SessionPaused(ClientPort& from, SessionId session, UserId user, bool paused) override;
  void PortWritable(ClientPort& from) override;
  void PortClosed(ClientPort& from) override;

  // PeerPort
  void PathUp(CellId to, Incarnation peer) override;
  void PathDown(CellId to) override;
  void FromPeer(CellId from, std::string_view batch) override;
  void ReplyFromPeer(CellId from, std::string_view batch) override;

  void WriteMetrics(MetricsSink& sink) const override;
  const LogicCounters& counters() const { return counters_; }
  Incarnation incarnation() const { return store_.incarnation(); }
  std::size_t resident_users() const { return residents_.size(); }
  std::size_t pending_users() const;
  // This store was put back from a copy, and may lack what other cells have.
  bool mending() const { return mending_ != nullptr; }
  // Every store-side promise is kept and nothing is under way or waiting.
  bool AtRest() const;

 private:
  // What waits for a user to be loaded: calls, made in order once it is there, or with null if it
  // cannot be loaded, for the reason given.
  using ParkedFn = std::function<void(Resident*, wire::Reason)>;
  struct Parked {
    ParkedFn work;
    std::size_t bytes = 0;
    const ClientPort* port = nullptr;  // null: not a client's
    SessionId session = 0;
    bool submits = false;
  };
  struct Loading {
    std::deque<Parked> parked;
    std::uint64_t charged = 0;
    std::unique_ptr<Resident> restoring;  // loaded, its pending messages are being read
  };
  // Both directions between this cell and another one.
  struct Path {
    bool up = false;
    bool may_rewind = false;  // its logic server, or its store, is not the one we last spoke to
    bool full = false;        // a message found no credit since some last came back
    Incarnation peer = 0;
    std::uint64_t session = 0;     // ours, as sender
    std::uint64_t sent = 0;        // credit taken in this session, by forwards and offers
    std::uint64_t consumed = 0;    // of this, dealt with by the receiver
    std::size_t reserved = 0;      // credit for what is being read back
    std::size_t mean_bytes = 256;  // of credit that a message takes
    std::deque<UserId> offers;     // with pairs to be offered; each once
    std::deque<UserId> refill;     // with messages to be read back; each once
    wire::PeerBatch out;
    std::size_t out_bytes = 0;
    bool out_large = false;        // it has held a large body
    std::uint64_t in_session = 0;  // the peer's, as receiver
    std::uint64_t in_bytes = 0;
    std::uint64_t in_sealed = 0;
    std::uint64_t in_told = 0;
    wire::PeerBatch reply;
    std::size_t reply_bytes = 0;
    bool listed_out = false;
    bool listed_reply = false;
    KnownStore store;
    wire::PeerStore remembered;   // with the batch that was sealed last
    std::uint64_t put_back = 0;   // its opening that has to be told that its store was put back
    std::uint64_t told_back = 0;  // the opening of its store that has told us the same of ours
    Comparing compare;
    std::uint64_t in_compared = 0;  // of the peer's comparison, in its session
  };
  struct Undecided {
    CellId from;
    wire::PairOffer offer;
    std::uint64_t session;
  };
  struct UndecidedGap {
    CellId from;
    wire::PairGap gap;
    std::uint64_t session;
    std::uint64_t batch;
  };
  // A submission that only the disk knows.
  struct OldSubmit {
    Seq send_id = 0;
    UserId receiver = 0;
    std::string body;
    bool is_void = false;
    wire::Reason outcome = wire::REASON_NOT_READY;
  };
  struct PageWanted {
    UserId user = 0;
    wire::Box box = wire::Box::kIn;
    Lsn head = 0;
    Seq from = 1;
    std::uint32_t limit = 0;  // 0: there is nothing that far
    ClientPort* port = nullptr;
    SessionId session = 0;
    std::uint64_t request_id = 0;
  };
  struct LocalAnswer {  // between two users of this cell, for the end of the turn
    enum class Kind : std::uint8_t { kAck, kGap, kOffer } kind;
    UserId to;
    UserId from;
    Seq a;
    Seq b;
  };

  // logic.cc: turns, commits
  void OnTurnEnd() override;
  void Seal();
  void Committed(store::StoreError error);
  void AddSnapshots();
  void Snapshot(Resident& r);
  void FinishSnapshots();
  void MaybeDrained();

  // memory.cc: what goes when memory is short
  // The one rule for who may go: nothing waits for this user, nothing that is gathered for this
  // turn or a commit points to him, and what is durable says all of him.
  bool MayDrop(const Resident& r) const;
  // A batch that gathers or is under way points to this user: he is neither dropped nor replaced.
  bool InBatch(const Resident& r) const;
  // Nobody is connected as this user and nothing of his is on its way: a snapshot would say all.
  bool Idle(const Resident& r) const;
  void Evict();
  void Recharge(Resident& r);
  void Drop(Resident& r);
  mailbox::Limits LimitsFor(const Resident& r, const mailbox::Submission& submission);
  void NoteReorder(Resident& r);
  void AgeReorderIn(Nanos delay);
  void AgeReorder();
  void LookAtMemory();
  // Whether deliveries are taken, from this cell and from others.
  bool Takes() const;
  bool TakesFromPeers() const;
  void TakingChanged(bool took);
  void ChargeCommits();

  // users.cc: loading
  // A resident that work can be done with now; null also while it is being restored.
  Resident* Ready(UserId user) const;
  void WithUser(UserId user, std::size_t parked_bytes, ParkedFn work);
  void Park(UserId user, Parked parked);
  void Unpark(Loading& loading, const std::function<bool(const Parked&)>& which);
  bool CloseParked(UserId user, ClientPort& from, SessionId session);
  void StartLoads();
  void Loaded(UserId user, Result<wire::UserRecord, store::StoreError> record);
  void RestoreMore(UserId user);
  mailbox::User& Restoring(UserId user);
  void Rewind(Resident& r);
  void LoadAgain(Resident& r);
  void Abandon(Resident& r, wire::Reason why);
  void FinishLoad(UserId user, std::unique_ptr<Resident> resident, wire::Reason failed);
  void RecoverMore();

  // clients.cc
  void OnFrame(Resident& r, ClientPort& from, SessionId session, const wire::ClientFrame& frame);
  void OnConnect(Resident& r, ClientPort& from, SessionId session, const wire::Connect& connect);
  static void CloseSession(ClientPort& from, SessionId session, std::uint32_t code,
                           const char* why);
  static void DropSessions(Resident& r, const char* why,
                           const std::function<bool(const Session&)>& which);
  static void TakeOver(Resident& r, Session& now);
  void OnSubmit(Resident& r, ClientPort& from, SessionId session, const wire::Submit& submit,
                std::uint64_t request_id, wire::ReplyWhen when);
  // repeats.cc: what comes again before it is durable
  void CompareLater(Resident& r, ClientPort& from, SessionId session, const wire::Submit& submit,
                    std::uint64_t request_id);
  void CompareRepeats(Resident& r);
  void Refuse(Resident* r, ClientPort& from, SessionId session, std::uint64_t request_id,
              Seq send_id, wire::Reason reason, std::string detail = {});
  void RefuseFrame(ClientPort& from, SessionId session, const wire::ClientFrame& frame,
                   wire::Reason reason);
  void RefuseBeyondEnd(const Resident& r, ClientPort& from, SessionId session,
                       std::uint64_t request_id);
  void ReplyStored(ClientPort& from, SessionId session, std::uint64_t request_id, Seq stored);
  void FillUser(const mailbox::User& user, wire::UserInfo* out) const;
  Session* FindSession(Resident& r, const ClientPort& port, SessionId session) const;
  void MarkDirty(Resident& r, Session& s);
  void TellSessions();
  void AnswerWaiters(Resident& r);
  void PushFrom(Resident& r, const wire::CommitBatch& batch, const wire::CommitBatch::User& of);
  void ForgetSession(Resident& r, const ClientPort& from, SessionId session);

  // reading.cc: what is read of boxes for clients
  bool MayBegin(UserId user, ClientPort& port, SessionId session) const;
  void OnRead(Resident& r, ClientPort& from, SessionId session, const wire::ReadBox& read,
              std::uint64_t request_id);
  void ReadPage(const PageWanted& what, store::Wanted wanted);
  void SendPage(const PageWanted& what, const store::BoxPage& page);
  void OnGetUser(Resident& r, ClientPort& from, SessionId session, std::uint64_t request_id,
                 std::uint64_t ping);
  void CompareWithOutbox(Resident& r, ClientPort& from, SessionId session,
                         std::uint64_t request_id);
  void Compared(UserId user, ClientPort& from, SessionId session, std::uint64_t request_id,
                const std::vector<OldSubmit>& submits);
  void CatchUp(Resident& r, Session& s);
  void ReadPushes(UserId user, ClientPort& port, SessionId session, store::Wanted wanted);

  // peers.cc
  Sent Forward(mailbox::User& from, const wire::Message& message) override;
  void Offer(mailbox::User& from, UserId receiver, Seq first, Seq last) override;
  void Ack(mailbox::User& receiver, UserId sender, Seq upto) override;
  void Gap(mailbox::User& receiver, UserId sender, Seq next) override;
  void Deliver(CellId from_cell, Resident* r, wire::Reason failed, UserId receiver,
               const wire::Message& message);
  void Offered(CellId from_cell, Resident* r, UserId receiver, UserId sender, Seq first, Seq last);
  void OnAck(Resident& r, UserId from, Seq upto);
  void OnGap(Resident& r, UserId from, Seq next, bool may_rewind);
  void OnNotice(Resident& r, const wire::PairNotice& notice);
  void Notice(CellId to, UserId sender, UserId receiver, wire::NoticeCode code);
  void StartSessions(Resident& r, bool also_waiting);
  void AnswerLocally();
  void OnLocalAnswer(Resident& r, const LocalAnswer& answer);
  void ListOut(CellId cell, Path& p, std::size_t bytes);
  void ListReply(CellId cell, Path& p, std::size_t bytes);
  void SendOut(CellId cell, Path& p);
  void SendReply(CellId cell, Path& p);
  void SendPeers();
  void Audit();

  // refill.cc: what waits for a path
  static Place& PlaceOf(Resident& r, CellId cell);
  static void Leave(Resident& r, CellId cell, bool Place::*queue);
  void WantOffer(Resident& r, CellId cell);
  void WantRefill(Resident& r, CellId cell, bool first = false);
  Resident* TakeFirst(CellId cell, std::deque<UserId>& queue, bool Place::*mark);
  void ClearQueues(CellId cell);
  std::size_t Room(CellId cell, const Path& p) const;
  void WorkPaths();
  bool PathsHaveWork() const;
  void ReadBack(Resident& r, CellId cell, Seq from);
  void Refilled(Resident& r, CellId cell, Seq from,
                const Result<store::BoxPage, store::StoreError>& page);

  void AddOffer(CellId cell, Path& p, const wire::PairOffer& offer);
  void FromGap(CellId from, const wire::PairGap& g, std::uint64_t session, bool decided);
  void FromOffer(CellId from, const wire::PairOffer& o, std::uint64_t session);

  // comparison.cc: all pairs with a cell whose store is not what it was
  void Introduce(const Path& p, wire::PeerBatch& batch) const;
  void HearOf(CellId cell, Path& p, const wire::PeerBatch& batch);
  void Compare(CellId cell, Path& p, bool all);
  void RememberPeers();
  void CompareInSession(Path& p);
  void Compared(CellId cell, Path& p, std::uint64_t answered);
  bool ComparisonsHaveWork() const;
  bool MayCompareMore(CellId cell, const Path& p) const;
  void WorkComparisons();
  void ComparePage(CellId cell, Path& p);
  void CompareDurable(std::uint64_t batch);

  // mending.cc: this store was put back, and friends' cells have what it lacks
  struct Search;
  void StorePutBack();
  void ToldPutBack(CellId cell, Path& p);
  void OnAhead(Resident& r, UserId from, Seq upto);
  bool MaySend(const mailbox::User& user) const;
  void MendMore();
  void Mend(UserId user, Resident* r);
  void TakeBack(Resident& r, const wire::Forward& f);
  void AskFor(UserId user, Mending::User& of, const Mending::Pair& pair);
  void AskAgain();
  void OnReturned(const wire::PeerBatch& batch);
  void GiveUp(UserId user, UserId with);
  void OnWant(CellId from, const wire::PairWant& want, std::uint64_t session);
  void SearchInbox(const std::shared_ptr<Search>& search);
  // True: there is more to be read.
  bool Searched(Search& search, const store::BoxPage& page);
  void WriteComparisons(MetricsSink& sink) const;

  // disk.cc
  void LookAtDisk();
  Path& PathTo(CellId cell);
  bool Reaches(CellId cell) const;
  static constexpr std::size_t kSessionBytes = 256;
  static std::size_t CreditBytes(std::size_t body) { return body + 48; }
  static constexpr std::size_t kOfferCredit = 16;  // bytes

  NodeContext& node_;
  const LogicOptions options_;
  const placement::PlacementTable& table_;
  store::Store& store_;
  RelayPort* relay_ = nullptr;

  Residents residents_;
  std::map<UserId, Loading> loading_;
  std::deque<UserId> load_queue_;
  std::uint32_t loads_ = 0;
  std::deque<UserId> recover_;  // pending users found at start, not loaded yet
  std::uint64_t turn_ = 0;

  std::unique_ptr<wire::CommitBatch> open_;       // being gathered
  std::unique_ptr<wire::CommitBatch> under_way_;  // null: no commit is under way
  std::unique_ptr<wire::CommitBatch> spare_;
  std::uint64_t charged_commits_ = 0;  // bytes in the budget's commits account
  std::uint64_t next_batch_ = 1;
  Nanos open_since_ = 0;
  Nanos sealed_at_ = 0;
  bool refuse_all_ = false;   // stopping
  bool memory_full_ = false;  // at the budget's hard limit, and not yet well below it
  std::function<void()> drained_;

  bool checkpointing_ = false;
  Lsn checkpoint_target_ = 0;
  std::vector<Resident*> snapshotted_;  // with the commit under way

  ReadQueue reads_;
  ReadQueue catch_ups_;
  ReadQueue compares_;
  std::vector<OldSubmit> old_;                // of the frame that is being taken
  std::vector<Resident*> told_;               // residents with dirty sessions
  std::vector<std::unique_ptr<Path>> paths_;  // by cell
  std::uint32_t refills_ = 0;                 // outboxes being read back
  std::size_t queued_ = 0;                    // places in the queues of all paths
  std::vector<CellId> dirty_out_;
  std::vector<CellId> dirty_reply_;
  std::deque<LocalAnswer> local_;
  wire::PeerBatch in_;   // reused
  std::string encoded_;  // reused
  std::uint64_t next_session_ = 1;
  const std::uint64_t opening_;  // random: this process, as other cells know it
  const Lsn opened_at_;
  Lsn sealed_lsn_ = 0;                // with the commit under way
  Lsn durable_lsn_ = 0;               // told to other cells
  std::uint32_t comparing_ = 0;       // paths
  std::vector<Undecided> undecided_;  // what a peer compares, of pairs with something under way
  std::vector<UndecidedGap> undecided_gaps_;  // until a batch is durable
  std::unique_ptr<Mending> mending_;          // null: this store was not put back, or lacks nothing
  std::uint32_t searches_ = 0;                // of inboxes, for other cells
  TimerId audit_timer_ = 0;
  TimerId reorder_timer_ = 0;
  DiskState disk_ = DiskState::kRoom;
  std::uint64_t disk_free_ = 0;
  TimerId disk_timer_ = 0;

  LogicCounters counters_;
  // Callbacks of the store and the loop find out by this whether the server is still there.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// The HTTP status of a refusal.
int StatusOf(wire::Reason reason);
// Its name in JSON bodies, e.g. "not_friend".
const char* CodeOf(wire::Reason reason);
// A sentence about it.
const char* Describe(wire::Reason reason);

}  // namespace baiwan::cell
