// Requests and sessions: from the client to the logic server and back.
#include "cell/gateway/gateway.h"

#include <algorithm>

#include "base/planted.h"
#include "cell/gateway/json.h"
#include "cell/gateway/socket.h"
#include "cell/link_types.h"
#include "cell/logic/logic.h"

namespace baiwan::cell {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr Nanos kSweep = kSecond;
constexpr std::uint32_t kShedRetryMs = 1000;
// A SessionId: 24 bits of the entry's generation, and its place; see cell/ports.h.

std::uint32_t IndexOf(SessionId id) { return (static_cast<std::uint32_t>(id) & kPlaceMask) - 1; }

}  // namespace

Gateway::Gateway(NodeContext& node, const GatewayOptions& options,
                 const placement::PlacementTable& table, GatewayOf gateway_of, ExtraRoutes extra)
    : node_(node),
      options_(options),
      table_(table),
      gateway_of_(std::move(gateway_of)),
      extra_(std::move(extra)),
      admission_(options.admission) {
  sweep_ = node_.loop.After(kSweep, [this] { Sweep(); });
  Look();
}

Gateway::~Gateway() {
  node_.loop.Cancel(sweep_);
  node_.loop.Cancel(look_);
}

void Gateway::SetLogic(LogicPort* logic) {
  logic_ = logic;
  if (logic != nullptr || Planted("clients-outlive-logic")) return;
  // Whatever was asked of it is of unknown fate now.
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = *entries_[i];
    if (entry.kind == Kind::kWebSocket) {
      entry.socket->Close(1012, "the cell is restarting");
    } else if (entry.kind != Kind::kFree) {
      net::HttpExchange& exchange = *entry.exchange;
      Free(entry, i);
      Refuse(exchange, wire::REASON_NOT_READY);
    }
  }
}

// ---------------------------------------------------------------- entries

Gateway::Entry& Gateway::NewEntry(Kind kind, SessionId* id) {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(entries_.size()));
    entries_.push_back(std::make_unique<Entry>());
  }
  const std::uint32_t index = free_.back();
  free_.pop_back();
  Entry& entry = *entries_[index];
  entry.kind = kind;
  entry.left = 1;
  entry.many = false;
  entry.stored = 0;
  entry.came = 0;
  entry.refused.clear();
  entry.generation = (entry.generation + 1) & kPlaceMask;
  ++(kind == Kind::kWebSocket ? websockets_ : requests_);
  *id = (SessionId{entry.generation} << kPlaceBits) | (index + 1);
  return entry;
}

Gateway::Entry* Gateway::Find(SessionId id) {
  const std::uint32_t index = IndexOf(id);
  if (index >= entries_.size()) return nullptr;
  Entry& entry = *entries_[index];
  return entry.kind != Kind::kFree && entry.generation == id >> kPlaceBits ? &entry : nullptr;
}

void Gateway::Free(Entry& entry, std::uint32_t index) {
  --(entry.kind == Kind::kWebSocket ? websockets_ : requests_);
  entry.kind = Kind::kFree;
  entry.exchange = nullptr;
  free_.push_back(index);
}

// ---------------------------------------------------------------- asking

void Gateway::Ask(net::HttpExchange& exchange, Kind kind, UserId user, wire::ClientFrame& frame,
                  std::uint32_t answers) {
  if (logic_ == nullptr) return Refuse(exchange, wire::REASON_NOT_READY);
  if (requests_ >= options_.max_requests) return Refuse(exchange, wire::REASON_OVERLOADED);
  if (!frame.submits().empty() && !admission_.Admits(user)) {
    counters_.shed += static_cast<std::uint64_t>(frame.submits_size());
    wire::ServerFrame answer;
    answer.add_refusals()->set_reason(wire::REASON_OVERLOADED);
    answer.mutable_refusals(0)->set_send_id(frame.submits(0).send_id());
    answer.mutable_refusals(0)->set_retry_after_ms(kShedRetryMs);
    return Answer(exchange, kind, answer);
  }
  SessionId id = 0;
  Entry& entry = NewEntry(kind, &id);
  entry.user = user;
  entry.left = answers;
  entry.many = answers > 1;
  entry.exchange = &exchange;
  entry.deadline = node_.clock.Monotonic() + options_.request_timeout;
  frame.set_request_id(1);
  exchange.set_context(id);
  logic_->FromClient(*this, id, user, frame);
}

void Gateway::ToClient(SessionId session, const wire::ServerFrame& frame) {
  Entry* entry = Find(session);
  if (entry == nullptr) return;
  if (entry->kind == Kind::kWebSocket) {
    ++counters_.frames_out;
    entry->socket->Send(frame);
    return;
  }
  net::HttpExchange& exchange = *entry->exchange;
  const Kind kind = entry->kind;
  if (kind == Kind::kUser || kind == Kind::kChat) {
    const Nanos asked = entry->deadline - options_.request_timeout;
    admission_.Answered(node_.clock.Monotonic() - asked);
  }
  if (!entry->many) {
    Free(*entry, IndexOf(session));
    return Answer(exchange, kind, frame);
  }
  entry->stored = std::max<Seq>(entry->stored, frame.stored());
  for (const wire::Refusal& refusal : frame.refusals()) entry->refused.push_back(refusal);
  if (--entry->left > 0) return;
  std::vector<wire::Refusal> refused = std::move(entry->refused);
  const Seq stored = entry->stored;
  Free(*entry, IndexOf(session));
  AnswerMany(exchange, stored, std::move(refused));
}

void Gateway::Taken(SessionId session) {
  Entry* entry = Find(session);
  if (entry != nullptr && entry->kind == Kind::kWebSocket) entry->socket->Answered();
}

std::uint64_t Gateway::Came(SessionId session, std::size_t bytes, UserId* user) {
  Entry* entry = Find(session);
  if (entry == nullptr || entry->kind != Kind::kWebSocket) return 0;
  entry->came += bytes;
  if (entry->came < kCreditWord) return 0;
  *user = entry->user;
  return std::exchange(entry->came, 0);
}

void Gateway::Answer(net::HttpExchange& exchange, Kind kind, const wire::ServerFrame& frame) {
  text_.clear();
  if (frame.refusals_size() > 0) {
    AppendRefusalJson(frame.refusals(0), &text_);
    return RefuseWith(exchange, frame.refusals(0), text_);
  }
  int status = 200;
  switch (kind) {
    case Kind::kChat:
      return exchange.Reply(200, "text/plain", "OK");
    case Kind::kUser:
      AppendUserJson(frame.user(), &text_);
      break;
    case Kind::kPage:
      AppendPageJson(frame.page(), &text_);
      break;
    case Kind::kCursor:
      text_ = "{\"read\":true}";
      break;
    case Kind::kSubmitV1:
      text_ = "{\"stored\":" + std::to_string(frame.stored()) + "}";
      status = 201;
      break;
    case Kind::kFree:
    case Kind::kWebSocket:
      break;
  }
  exchange.Reply(status, kJson, text_);
}

// The request as a whole answers with the refusal of the lowest number; the body lists them all.
void Gateway::AnswerMany(net::HttpExchange& exchange, Seq stored,
                         std::vector<wire::Refusal> refused) {
  std::stable_sort(refused.begin(), refused.end(),
                   [](const auto& a, const auto& b) { return a.send_id() < b.send_id(); });
  text_.clear();
  AppendResultsJson(stored, refused, &text_);
  if (refused.empty()) return exchange.Reply(201, kJson, text_);
  RefuseWith(exchange, refused.front(), text_);
}

void Gateway::Refuse(net::HttpExchange& exchange, wire::Reason reason, std::string_view detail,
                     net::Headers extra) {
  wire::Refusal refusal;
  refusal.set_reason(reason);
  refusal.set_detail(detail.data(), detail.size());
  std::string body;
  AppendRefusalJson(refusal, &body);
  RefuseWith(exchange, refusal, body, std::move(extra));
}

void Gateway::RefuseWith(net::HttpExchange& exchange, const wire::Refusal& refusal,
                         std::string_view body, net::Headers extra) {
  ++counters_.refused;
  const int status = StatusOf(refusal.reason());
  if (status == 429 || status == 503) {
    // Whole seconds are all that this header can say.
    extra.emplace_back("Retry-After",
                       std::to_string(std::max(1U, (refusal.retry_after_ms() + 999) / 1000)));
  }
  exchange.Reply(status, kJson, body, extra);
}

void Gateway::OnAbandoned(net::HttpExchange& exchange) {
  Entry* entry = Find(exchange.context());
  if (entry == nullptr || entry->exchange != &exchange) return;
  if (logic_ != nullptr) logic_->SessionClosed(*this, exchange.context(), entry->user);
  Free(*entry, IndexOf(exchange.context()));
}

void Gateway::Sweep() {
  gone_.clear();
  const Nanos now = node_.clock.Monotonic();
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = *entries_[i];
    if (entry.kind == Kind::kFree || entry.deadline > now) continue;
    if (entry.kind == Kind::kWebSocket) {
      if (entry.user == 0) entry.socket->Close(1008, "connect took too long to come");
      continue;
    }
    ++counters_.timeouts;
    if (entry.kind == Kind::kUser || entry.kind == Kind::kChat) {
      admission_.Answered(options_.request_timeout);
    }
    net::HttpExchange& exchange = *entry.exchange;
    const SessionId id = exchange.context();
    if (logic_ != nullptr) logic_->SessionClosed(*this, id, entry.user);
    Free(entry, i);
    Refuse(exchange, wire::REASON_TIMEOUT);
  }
  sweep_ = node_.loop.After(kSweep, [this] { Sweep(); });
}

// ---------------------------------------------------------------- admission

// A timer is late by as much as anything that came in at a random moment has waited for its turn.
void Gateway::Look() {
  const Nanos now = node_.clock.Monotonic();
  if (look_due_ > 0) {
    admission_.Tick(now - look_due_);
  }
  look_due_ = now + options_.admission.interval;
  look_ = node_.loop.After(options_.admission.interval, [this] { Look(); });
}

// True if the frame's submissions were refused and nothing else is in it.
bool Gateway::Shed(Entry& entry, wire::ClientFrame& frame) {
  if (frame.submits().empty() || admission_.Admits(entry.user)) return false;
  wire::ServerFrame answer;
  answer.set_request_id(frame.request_id());
  for (const wire::Submit& submit : frame.submits()) {
    wire::Refusal* refusal = answer.add_refusals();
    refusal->set_send_id(submit.send_id());
    refusal->set_reason(wire::REASON_OVERLOADED);
    refusal->set_retry_after_ms(kShedRetryMs);
    refusal->set_detail(Describe(wire::REASON_OVERLOADED));
    ++counters_.shed;
  }
  frame.clear_submits();
  entry.socket->Send(answer);
  return !frame.has_read() && !frame.get_user() && frame.read_up_to() == 0 && frame.ping() == 0;
}

// ---------------------------------------------------------------- WebSockets

void Gateway::ServeConnect(net::HttpExchange& exchange, const PathVars&) {
  const std::string_view query = exchange.request().query;
  // A client that says here who it is going to be is sent to the right gateway before it upgrades.
  std::string text;
  UserId user = 0;
  if (net::QueryValue(query, "user", &text) &&
      (!ParseUser(exchange, text, &user) || !Here(exchange, user))) {
    return;
  }
  std::string format;
  if (net::QueryValue(query, "format", &format) && format != "json" && format != "binary") {
    return Refuse(exchange, wire::REASON_BAD_REQUEST, "format is json or binary");
  }
  if (!exchange.request().wants_websocket) {
    return Refuse(exchange, wire::REASON_BAD_REQUEST, "this path takes WebSocket connections");
  }
  if (logic_ == nullptr) return Refuse(exchange, wire::REASON_NOT_READY);
  SessionId id = 0;
  Entry& entry = NewEntry(Kind::kWebSocket, &id);
  entry.user = 0;
  entry.deadline = node_.clock.Monotonic() + options_.connect_timeout;
  entry.socket = std::make_unique<Socket>(*this, id, format == "json");
  std::unique_ptr<net::WebSocket> socket = exchange.Upgrade(entry.socket.get());
  if (socket == nullptr) {
    entry.socket.reset();
    Free(entry, IndexOf(id));
    return;
  }
  ++counters_.connects;
  entry.socket->Attach(std::move(socket));
}

void Gateway::OnSocketFrame(SessionId id, wire::ClientFrame& frame) {
  Entry& entry = *Find(id);
  ++counters_.frames_in;
  Socket& socket = *entry.socket;
  if (frame.request_id() == 0 && frame.has_read()) frame.set_request_id(1);
  if (static_cast<std::uint32_t>(frame.submits_size()) > options_.max_submits_per_frame) {
    return socket.Close(1008, "too many messages in one frame");
  }
  if (entry.user == 0 ? !Introduce(entry, frame) : frame.has_connect()) {
    return socket.Close(1008, "connect comes once, and first");  // unless it is closed already
  }
  if (logic_ == nullptr) return socket.Close(1012, "the cell is restarting");
  // A connect goes first, or the refusals would come before the welcome.
  if (!frame.has_connect() && Shed(entry, frame)) return;
  socket.Asks((frame.has_read() ? 1 : 0) + (frame.get_user() ? 1 : 0));
  logic_->FromClient(*this, id, entry.user, frame);
}

// The first frame of a connection: who it is. False, and closed, if it is nobody of ours.
bool Gateway::Introduce(Entry& entry, const wire::ClientFrame& frame) {
  if (!frame.has_connect()) return false;
  const UserId user = frame.connect().user();
  if (user == 0 || user > kMaxUserId) {
    entry.socket->Close(1008, "no user has that number");
    return false;
  }
  const CellId cell = table_.CellOf(user);
  if (cell == options_.cell) {
    entry.user = user;
    return true;
  }
  ++counters_.redirected;
  const std::string gateway = gateway_of_(cell);
  if (gateway.empty()) {
    entry.socket->Close(1013, "this user's gateway is not known yet");
  } else {
    entry.socket->Close(1008, "this user is served by " + gateway);
  }
  return false;
}

void Gateway::OnSocketPaused(SessionId id, bool paused) {
  const Entry& entry = *Find(id);
  if (logic_ != nullptr && entry.user != 0) {
    logic_->SessionPaused(*this, id, entry.user, paused);
  }
}

void Gateway::OnSocketClosed(SessionId id) {
  Entry& entry = *Find(id);
  if (logic_ != nullptr && entry.user != 0) logic_->SessionClosed(*this, id, entry.user);
  // The socket is in the middle of telling us: it goes with the next sweep.
  gone_.push_back(std::move(entry.socket));
  Free(entry, IndexOf(id));
}

void Gateway::WriteMetrics(MetricsSink& sink) const {
  const GatewayCounters& c = counters_;
  sink.Counter("gateway_requests_total", "HTTP requests", c.requests);
  sink.Counter("gateway_frames_in_total", "WebSocket frames from clients", c.frames_in);
  sink.Counter("gateway_frames_out_total", "WebSocket frames to clients", c.frames_out);
  sink.Counter("gateway_connects_total", "WebSocket sessions begun", c.connects);
  sink.Counter("gateway_refused_total", "requests answered with 400 or above", c.refused);
  sink.Counter("gateway_redirected_total", "requests for users of other cells", c.redirected);
  sink.Counter("gateway_timeouts_total", "requests that got no answer in time", c.timeouts);
  sink.Counter("gateway_shed_total", "messages refused because work waits too long", c.shed);
  sink.Gauge("gateway_queue_wait_seconds", "how long work waits for its turn, on average",
             static_cast<double>(admission_.average_wait()) / kSecond);
  sink.Gauge("gateway_shed_share", "share of users whose submissions are refused",
             admission_.share_shed());
  sink.Gauge("gateway_websockets", "WebSocket sessions", static_cast<double>(websockets_));
  sink.Gauge("gateway_requests_waiting", "HTTP requests that wait for the logic server",
             static_cast<double>(requests_));
}

}  // namespace baiwan::cell
