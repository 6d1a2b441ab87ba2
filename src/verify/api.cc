#include "verify/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/budget.h"
#include "base/fatal.h"
#include "base/log.h"
#include "base/rng.h"
#include "net/http.h"
#include "net/transport.h"
#include "placement/placement.h"
#include "verify/api_json.h"
#include "verify/case.h"
#include "verify/store_check.h"

namespace baiwan::verify {
namespace {

constexpr Nanos kTimeout = 10 * kSecond;
constexpr Nanos kLongestRetry = 5 * kSecond;
constexpr std::uint64_t kBudgetBytes = 1ULL << 30;
// As parts of a Census: users that were read, and those that could not be.
constexpr std::uint32_t kRead = 0;
constexpr std::uint32_t kUnread = 1;

using Response = Result<net::HttpResponse, NetError>;

// What all readers share.
struct Shared {
  NodeContext& node;
  Case& made;
  Census& census;
  BoxChecker& boxes;
  const placement::PlacementTable& table;
  std::map<CellId, Endpoint> gateways;
  Endpoint entry;
  Nanos first_retry;
  unsigned unread = 0;            // users that could not be read
  std::function<void()> on_done;  // a reader has read its last user
};

// Reads a range of users, one after the other.
class UserReader {
 public:
  UserReader(Shared& shared, Population::Number first, Population::Number end)
      : s_(shared), next_(first), end_(end) {}
  ~UserReader() { s_.node.loop.Cancel(timer_); }

  void Start() { NextUser(); }

 private:
  enum class Step { kOutbox, kInbox, kCounters };

  void NextUser() {
    if (s_.unread >= kMostUnread) {
      for (; next_ < end_; ++next_) s_.census.Claim(next_, kUnread);
    }
    if (next_ == end_) return s_.on_done();
    n_ = next_++;
    user_ = s_.made.people.user(n_);
    gateway_ = GatewayOf();
    step_ = Step::kOutbox;
    from_ = 1;
    tries_ = hops_ = 0;
    Ask();
  }

  Endpoint GatewayOf() const {
    const auto known = s_.gateways.find(s_.table.CellOf(user_));
    return known == s_.gateways.end() ? s_.entry : known->second;
  }

  void Ask() {
    if (!client_ || !(client_at_ == gateway_)) {
      client_ = net::HttpClient::Create(s_.node, gateway_);
      client_at_ = gateway_;
    }
    const std::string target =
        step_ == Step::kCounters
            ? fmt::format("/api/user/{}", user_)
            : fmt::format("/api/c/{}/{}?from={}&limit=1000",
                          step_ == Step::kOutbox ? "outbox" : "inbox", user_, from_);
    client_->Request("GET", target, {}, {}, kTimeout,
                     [this](Response response) { Answered(std::move(response)); });
  }

  void Answered(Response response) {
    if (!response) return Again(Message(response.error()), 0);
    if (response->status == 307) return Redirected(response->Header("Location"));
    if (response->status == 404) {  // a definite answer: what should be there is lost
      s_.census.Claim(n_, kRead);
      s_.boxes.findings().Note(fmt::format("user {} is not known to its gateway", user_));
      return NextUser();
    }
    if (response->status == 429 || response->status == 503 || response->status == 504) {
      std::uint64_t seconds = 0;
      const std::string_view text = response->Header("Retry-After");
      std::from_chars(text.data(), text.data() + text.size(), seconds);
      return Again(fmt::format("status {}", response->status),
                   static_cast<Nanos>(std::min<std::uint64_t>(seconds, 60)) * kSecond);
    }
    if (response->status != 200) return GiveUp(fmt::format("status {}", response->status));
    tries_ = 0;
    std::string why;
    if (step_ == Step::kCounters) {
      if (!ParseUser(response->body, &counters_, &why)) return GiveUp(why);
      Compare();
      return NextUser();
    }
    if (!ParsePage(response->body, &page_, &why)) return GiveUp(why);
    TakePage();
  }

  void TakePage() {
    if (page_.messages.empty()) {
      step_ = step_ == Step::kOutbox ? Step::kInbox : Step::kCounters;
      from_ = 1;
      return Ask();
    }
    for (const ApiMessage& m : page_.messages) TakeMessage(m);
    if (page_.next <= from_) return GiveUp(fmt::format("a page ends before {}", from_));
    from_ = page_.next;
    Ask();
  }

  void TakeMessage(const ApiMessage& m) {
    const bool out = step_ == Step::kOutbox;
    const UserId owner = out ? m.sender : m.receiver;
    Findings& findings = s_.boxes.findings();
    if (owner != user_) {
      findings.Add(Kind::kForeign, 1, "{} of user {}: place {} is a message {} user {}",
                   out ? "outbox" : "inbox", user_, m.seq, out ? "from" : "for", owner);
    }
    if (out && m.send_id != m.seq) {
      findings.Add(Kind::kCounter, 1, "outbox of user {}: place {} has send id {}", user_, m.seq,
                   m.send_id);
    }
    StoredMessage stored;
    stored.seq = m.seq;
    stored.peer = out ? m.receiver : m.sender;
    stored.send_id = m.send_id;
    stored.has_checksum = false;
    stored.is_void = m.is_void;
    stored.body = m.body;
    if (out) {
      s_.boxes.Out(n_, stored);
    } else {
      s_.boxes.In(n_, stored);
    }
  }

  void Number(const char* what, Seq said, Seq real) {
    if (said == real) return;
    s_.boxes.findings().Add(Kind::kCounter, 1, "user {}: {} is {}, and {} by what its boxes hold",
                            user_, what, said, real);
  }

  void Compare() {
    s_.census.Claim(n_, kRead);
    const Population& people = s_.made.people;
    const UserBook& book = s_.made.books->users[n_];
    Number("SendId", counters_.send_id, book.sent);
    Number("ReceiveId", counters_.receive_id, book.received);
    if (counters_.client_receive_id > counters_.receive_id) {
      Number("ClientReceiveId", counters_.client_receive_id, counters_.receive_id);
    }
    if (counters_.send_ack_id > counters_.send_id) {
      Number("SendAckId", counters_.send_ack_id, counters_.send_id);
    }
    const auto friends = people.friends(n_);
    std::sort(counters_.friends.begin(), counters_.friends.end());
    if (!std::equal(friends.begin(), friends.end(), counters_.friends.begin(),
                    counters_.friends.end())) {
      s_.boxes.findings().Add(Kind::kAltered, 1,
                              "user {} has other friends than in the friend graph", user_);
    }
    // Everything up to SendAckId is with the friends.
    const Seq last = std::min({counters_.send_ack_id, book.sent, s_.boxes.plan().total(n_)});
    for (Seq id = 1; id <= last; ++id) {
      const PlanCache::Place place = s_.boxes.plan().At(n_, id);
      s_.made.books->relations[people.relation(n_) + place.friend_index].acked =
          static_cast<std::uint32_t>(place.pair_seq);
    }
  }

  void Redirected(std::string_view location) {
    constexpr std::string_view kScheme = "http://";
    if (++hops_ > 3) return GiveUp("its gateways send from one to the other");
    if (location.substr(0, kScheme.size()) != kScheme) return GiveUp("a redirection to nowhere");
    location.remove_prefix(kScheme.size());
    const auto gateway = ParseEndpoint(location.substr(0, location.find('/')));
    if (!gateway) return GiveUp(fmt::format("a redirection to nowhere: {}", gateway.error()));
    gateway_ = s_.gateways[s_.table.CellOf(user_)] = *gateway;
    Ask();
  }

  void Again(const std::string& why, Nanos at_least) {
    if (++tries_ == kMostTries) return GiveUp(fmt::format("{}, {} times", why, kMostTries));
    const Nanos delay = std::min(kLongestRetry, s_.first_retry << tries_);
    timer_ = s_.node.loop.After(std::max(delay, at_least), [this] {
      timer_ = 0;
      Ask();
    });
  }

  void GiveUp(const std::string& why) {
    s_.census.Claim(n_, kUnread);
    if (++s_.unread == kMostUnread) {
      s_.boxes.findings().Error(fmt::format(
          "{} users could not be read: those that are left were not tried", kMostUnread));
    }
    s_.boxes.findings().Error(
        fmt::format("user {} could not be read from {}: {}", user_, gateway_.ToString(), why));
    NextUser();
  }

  Shared& s_;
  Population::Number next_;
  const Population::Number end_;
  Population::Number n_ = 0;
  UserId user_ = 0;
  Endpoint gateway_;
  Step step_ = Step::kOutbox;
  Seq from_ = 1;
  unsigned tries_ = 0;
  unsigned hops_ = 0;
  std::unique_ptr<net::HttpClient> client_;
  Endpoint client_at_;
  ApiPage page_;
  ApiUser counters_;
  TimerId timer_ = 0;
};

// If the entry has a list of servers, the gateways in it.
void AskForGateways(net::RealLoop& loop, Shared& shared) {
  const auto client = net::HttpClient::Create(shared.node, shared.entry);
  client->Request("GET", "/server", {}, {}, kTimeout, [&](const Response& response) {
    if (response && response->status == 200) ParseServers(response->body, &shared.gateways);
    loop.Stop();
  });
  loop.Run();
}

void ReadEverybody(const ApiOptions& options, net::RealLoop& loop, Shared& shared) {
  AskForGateways(loop, shared);
  const std::size_t users = shared.made.people.users();
  const std::size_t count =
      std::min<std::size_t>({std::max(options.at_a_time, 1u), kMostAtATime, users});
  std::size_t reading = count;
  shared.on_done = [&] {
    if (--reading == 0) loop.Stop();
  };
  std::vector<std::unique_ptr<UserReader>> readers;
  for (std::size_t i = 0; i < count; ++i) {
    readers.push_back(
        std::make_unique<UserReader>(shared, users * i / count, users * (i + 1) / count));
    readers.back()->Start();
  }
  if (reading > 0) loop.Run();
}

void Verify(const ApiOptions& options, VerifyReport* report) {
  Case made;
  if (!Prepare(options.verify, std::nullopt, &made, report)) return;
  auto loop = net::RealLoop::Create({});
  if (!loop) return report->errors.push_back(loop.error());
  Rng rng(options.verify.spec.seed);
  Budget budget(kBudgetBytes);
  NodeContext node{**loop, (*loop)->transport(), SystemClock(), rng,
                   budget, ProcessFatal(),       NoLog()};
  Census census(made.people, 2);
  std::uint64_t copies = 0;
  BoxChecker boxes(*made.books, [&](std::uint64_t more) {
    copies += more;
    if (options.verify.progress) options.verify.progress(copies / 2, report->expected_messages);
  });
  const placement::PlacementTable table(options.verify.spec.cells, options.verify.spec.partitions);
  Shared shared{node, made,   census, boxes, table, {}, options.entry, options.first_retry,
                0,    nullptr};
  ReadEverybody(options, **loop, shared);
  for (Population::Number n = 0; n < made.people.users(); ++n) {
    if (census.homes[n] == kUnread) census.unread[kUnread] = true;
  }
  boxes.Finish();
  const Totals totals(*made.books, census, made.told, options.verify.expect_complete);
  for (Population::Number n = 0; n < made.people.users(); ++n) totals.Check(n, boxes);
  boxes.findings().MergeInto(report);
  report->stored = boxes.outbox_messages();
  report->delivered = boxes.inbox_messages();
  report->voids = boxes.voids();
  CountUsers(made, census, report);
}

}  // namespace

VerifyReport VerifyThroughApi(const ApiOptions& options) {
  VerifyReport report;
  const Nanos begin = SystemClock().Monotonic();
  Verify(options, &report);
  report.seconds = static_cast<double>(SystemClock().Monotonic() - begin) / kSecond;
  return report;
}

}  // namespace baiwan::verify
