// Which path means what. Nothing here touches a message's content.
#include <charconv>

#include "cell/gateway/gateway.h"
#include "cell/gateway/json.h"
#include "ops/ops.h"
#include "wire/reuse.h"

namespace baiwan::cell {
namespace {

constexpr std::uint32_t kDefaultLimit = 100;
constexpr std::uint32_t kMaxLimit = 1000;

// A decimal number without sign or spaces, of at most 18 digits.
bool ParseId(std::string_view text, std::uint64_t* out) {
  if (text.empty() || text.size() > 18) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc{} && end == text.data() + text.size();
}

// The path up to the next '/', which goes too; so does a '/' that ends it.
std::string_view Next(std::string_view* path) {
  const auto slash = path->find('/');
  const auto part = path->substr(0, slash);
  *path = slash == std::string_view::npos ? std::string_view{} : path->substr(slash + 1);
  return part;
}

constexpr std::string_view kUserForm = "a user is a number of at most 18 digits";
constexpr std::string_view kNotBuilt = "/api/f";

}  // namespace

// What is asked most comes first. Reading an inbox moves its user's cursor, so it is no HEAD.
const Gateway::Route Gateway::kRoutes[] = {
    {"GET", "/api/c/{user}/{friend}/{send_id}", &Gateway::ServeChat},
    {"GET", "/api/user/{user}", &Gateway::ServeUser, true},
    {"POST", "/v1/users/{user}/messages", &Gateway::ServeMessages},
    {"GET", "/v1/connect", &Gateway::ServeConnect},
    {"GET", "/api/c/inbox/{user}", &Gateway::ServeInbox},
    {"GET", "/api/c/outbox/{user}", &Gateway::ServeOutbox, true},
    {"GET", "/v1/users/{user}", &Gateway::ServeUser, true},
    {"GET", "/v1/users/{user}/inbox", &Gateway::ServeInbox},
    {"GET", "/v1/users/{user}/outbox", &Gateway::ServeOutbox, true},
    {"PUT", "/v1/users/{user}/cursor", &Gateway::ServeCursor},
    {"GET", "/api/f/{rest}", &Gateway::ServeNotBuilt, true},
};

std::vector<RouteName> Gateway::Routes() {
  std::vector<RouteName> names;
  for (const Route& route : kRoutes) names.push_back({route.method, route.path});
  return names;
}

// A path may end in a slash that its pattern does not have.
bool Gateway::Match(std::string_view pattern, std::string_view path, PathVars* vars) {
  std::size_t n = 0;
  while (!pattern.empty() && !path.empty()) {
    const std::string_view want = Next(&pattern);
    const std::string_view got = Next(&path);
    if (!want.empty() && want.front() == '{') {
      (*vars)[n++] = got;
    } else if (want != got) {
      return false;
    }
  }
  return pattern.empty() && path.empty();
}

void Gateway::OnRequest(net::HttpExchange& exchange) {
  ++counters_.requests;
  exchange.set_context(0);
  const net::HttpRequest& request = exchange.request();
  PathVars vars;
  const std::string_view begin = request.path.substr(0, kNotBuilt.size() + 1);
  const bool head = request.method == "HEAD";
  if (begin == kNotBuilt || begin == "/api/f/") return ServeNotBuilt(exchange, vars);
  std::string takes;
  for (const Route& route : kRoutes) {
    if (!Match(route.path, request.path, &vars)) continue;
    if (request.method == route.method || (head && route.head)) {
      return (this->*route.serve)(exchange, vars);
    }
    takes.append(takes.empty() ? "" : ", ").append(route.method);
    if (route.head) takes.append(", HEAD");
  }
  if (!takes.empty()) return WrongMethod(exchange, takes);
  if (extra_ && extra_(exchange)) return;
  Refuse(exchange, wire::REASON_NOT_FOUND);
}

void Gateway::WrongMethod(net::HttpExchange& exchange, std::string_view takes) {
  Refuse(exchange, wire::REASON_METHOD, "this path takes " + std::string(takes),
         {{"Allow", std::string(takes)}});
}

bool Gateway::Vital(std::string_view path) const { return ops::Ops::Vital(path); }

bool Gateway::ParseUser(net::HttpExchange& exchange, std::string_view text, UserId* user) {
  if (ParseId(text, user) && *user != 0) return true;
  Refuse(exchange, wire::REASON_BAD_REQUEST, kUserForm);
  return false;
}

bool Gateway::Here(net::HttpExchange& exchange, UserId user) {
  const CellId cell = table_.CellOf(user);
  if (cell == options_.cell) return true;
  ++counters_.redirected;
  const std::string gateway = gateway_of_(cell);
  if (gateway.empty()) {
    Refuse(exchange, wire::REASON_NOT_READY, "this user's gateway is not known yet");
    return false;
  }
  wire::Refusal refusal;
  refusal.set_reason(wire::REASON_WRONG_CELL);
  refusal.set_detail("this user is served by " + gateway);
  std::string body;
  AppendRefusalJson(refusal, &body);
  // Of the target only what is under its host, in whichever form it came.
  const net::HttpRequest& request = exchange.request();
  std::string location = "http://" + gateway + std::string(request.path);
  if (!request.query.empty()) location.append("?").append(request.query);
  exchange.Reply(307, "application/json", body, {{"Location", location}});
  return false;
}

void Gateway::ServeNotBuilt(net::HttpExchange& exchange, const PathVars&) {
  Refuse(exchange, wire::REASON_NOT_IMPLEMENTED);
}

// ---------------------------------------------------------------- reading

void Gateway::ServeUser(net::HttpExchange& exchange, const PathVars& vars) {
  UserId user = 0;
  if (!ParseUser(exchange, vars[0], &user) || !Here(exchange, user)) return;
  frame_.Clear();
  frame_.set_get_user(true);
  Ask(exchange, Kind::kUser, user, frame_);
}

void Gateway::ServeInbox(net::HttpExchange& exchange, const PathVars& vars) {
  ReadBoxOf(exchange, vars[0], wire::BOX_INBOX);
}

void Gateway::ServeOutbox(net::HttpExchange& exchange, const PathVars& vars) {
  ReadBoxOf(exchange, vars[0], wire::BOX_OUTBOX);
}

void Gateway::ReadBoxOf(net::HttpExchange& exchange, std::string_view user_text,
                        wire::BoxName box) {
  UserId user = 0;
  if (!ParseUser(exchange, user_text, &user)) return;
  const std::string_view query = exchange.request().query;
  std::uint64_t from = 1;
  std::uint64_t limit = kDefaultLimit;
  std::string text;
  if (!net::PercentDecode(query, true, &text)) {
    return Refuse(exchange, wire::REASON_BAD_REQUEST, "the query is not properly percent-encoded");
  }
  if (net::QueryValue(query, "from", &text) && (!ParseId(text, &from) || from == 0)) {
    return Refuse(exchange, wire::REASON_BAD_REQUEST, "from is a sequence from 1 on");
  }
  if (net::QueryValue(query, "limit", &text) &&
      (!ParseId(text, &limit) || limit == 0 || limit > kMaxLimit)) {
    return Refuse(exchange, wire::REASON_BAD_REQUEST, "limit is a number from 1 to 1000");
  }
  if (!Here(exchange, user)) return;
  frame_.Clear();
  frame_.mutable_read()->set_box(box);
  frame_.mutable_read()->set_from(from);
  frame_.mutable_read()->set_limit(static_cast<std::uint32_t>(limit));
  Ask(exchange, Kind::kPage, user, frame_);
}

void Gateway::ServeCursor(net::HttpExchange& exchange, const PathVars& vars) {
  UserId user = 0;
  if (!ParseUser(exchange, vars[0], &user)) return;
  const auto cursor = ParseCursor(exchange.request().body);
  if (!cursor) return Refuse(exchange, wire::REASON_BAD_REQUEST, cursor.error());
  if (!Here(exchange, user)) return;
  frame_.Clear();
  frame_.set_read_up_to(*cursor);
  frame_.set_ping(1);  // so that there is an answer
  Ask(exchange, Kind::kCursor, user, frame_);
}

// ---------------------------------------------------------------- sending

void Gateway::ServeChat(net::HttpExchange& exchange, const PathVars& vars) {
  UserId user = 0;
  UserId peer = 0;
  Seq send_id = 0;
  if (!ParseUser(exchange, vars[0], &user) || !ParseUser(exchange, vars[1], &peer)) return;
  if (!ParseId(vars[2], &send_id)) {
    return Refuse(exchange, wire::REASON_BAD_REQUEST, "a send id is a number of at most 18 digits");
  }
  if (!Here(exchange, user)) return;
  frame_.Clear();
  wire::Submit* submit = frame_.add_submits();
  submit->set_send_id(send_id);
  submit->set_friend_(peer);
  if (!net::QueryValue(exchange.request().query, "message", submit->mutable_body())) {
    return Refuse(exchange, wire::REASON_BAD_REQUEST,
                  "?message= is missing or not properly percent-encoded");
  }
  frame_.set_reply_when(wire::REPLY_TAKEN);
  Ask(exchange, Kind::kChat, user, frame_);
}

void Gateway::ServeMessages(net::HttpExchange& exchange, const PathVars& vars) {
  UserId user = 0;
  if (!ParseUser(exchange, vars[0], &user)) return;
  const auto submits = ParseMessages(exchange.request().body, options_.max_submits_per_frame);
  if (!submits) return Refuse(exchange, wire::REASON_BAD_REQUEST, submits.error());
  if (!Here(exchange, user)) return;
  frame_.Clear();
  for (const wire::Submit& submit : *submits) *frame_.add_submits() = submit;
  frame_.set_reply_when(wire::REPLY_STORED);
  const bool large = exchange.request().body.size() > wire::kReusedFrame;
  Ask(exchange, Kind::kSubmitV1, user, frame_, static_cast<std::uint32_t>(submits->size()));
  if (large) wire::ClearReused(&frame_, true);
}

}  // namespace baiwan::cell
