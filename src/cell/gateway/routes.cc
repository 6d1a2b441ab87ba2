// Which path means what. Nothing here touches a message's content.
#include <charconv>

#include "cell/gateway/gateway.h"
#include "cell/gateway/json.h"

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

// The path up to the next '/', which goes too.
std::string_view Next(std::string_view* path) {
  const auto slash = path->find('/');
  const auto part = path->substr(0, slash);
  *path = slash == std::string_view::npos ? std::string_view{} : path->substr(slash + 1);
  return part;
}

bool TakePrefix(std::string_view* path, std::string_view prefix) {
  if (path->substr(0, prefix.size()) != prefix) return false;
  path->remove_prefix(prefix.size());
  return true;
}

constexpr std::string_view kUserForm = "a user is a number of at most 18 digits";

}  // namespace

void Gateway::OnRequest(net::HttpExchange& exchange) {
  ++counters_.requests;
  exchange.set_context(0);
  Route(exchange, exchange.request().path, exchange.request().query);
}

void Gateway::Route(net::HttpExchange& exchange, std::string_view path, std::string_view query) {
  if (TakePrefix(&path, "/api/")) return RouteApi(exchange, path, query);
  if (TakePrefix(&path, "/v1/")) return RouteV1(exchange, path, query);
  if (extra_ && extra_(exchange)) return;
  Refuse(exchange, wire::REASON_NOT_FOUND);
}

bool Gateway::NeedMethod(net::HttpExchange& exchange, std::string_view method) {
  const std::string_view got = exchange.request().method;
  if (got == method || (method == "GET" && got == "HEAD")) return true;
  Refuse(exchange, wire::REASON_METHOD, "this path takes " + std::string(method));
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
  exchange.Reply(307, "application/json", body,
                 {{"Location", "http://" + gateway + std::string(exchange.request().target)}});
  return false;
}

// ---------------------------------------------------------------- the source's interface

void Gateway::RouteApi(net::HttpExchange& exchange, std::string_view rest, std::string_view query) {
  if (rest == "f" || rest.substr(0, 2) == "f/") {
    return Refuse(exchange, wire::REASON_NOT_IMPLEMENTED);
  }
  const std::string_view area = Next(&rest);
  if (area != "user" && area != "c") return Refuse(exchange, wire::REASON_NOT_FOUND);
  if (!NeedMethod(exchange, "GET")) return;
  const std::string_view first = Next(&rest);
  if (area == "user") {
    UserId user = 0;
    if (!ParseId(first, &user) || user == 0) {
      return Refuse(exchange, wire::REASON_BAD_REQUEST, kUserForm);
    }
    return RouteUser(exchange, user, rest, query);
  }
  const std::string_view second = Next(&rest);
  if (first == "inbox" || first == "outbox") {
    UserId user = 0;
    if (!ParseId(second, &user) || user == 0) {
      return Refuse(exchange, wire::REASON_BAD_REQUEST, kUserForm);
    }
    if (!rest.empty()) return Refuse(exchange, wire::REASON_NOT_FOUND);
    return ReadBoxOf(exchange, user, first == "inbox" ? wire::BOX_INBOX : wire::BOX_OUTBOX, query);
  }
  const std::string_view third = Next(&rest);
  if (!rest.empty()) return Refuse(exchange, wire::REASON_NOT_FOUND);
  Chat(exchange, first, second, third, query);
}

void Gateway::Chat(net::HttpExchange& exchange, std::string_view user_text,
                   std::string_view friend_text, std::string_view send_id_text,
                   std::string_view query) {
  UserId user = 0;
  UserId peer = 0;
  Seq send_id = 0;
  if (!ParseId(user_text, &user) || user == 0 || !ParseId(friend_text, &peer) || peer == 0) {
    return Refuse(exchange, wire::REASON_BAD_REQUEST, kUserForm);
  }
  if (!ParseId(send_id_text, &send_id)) {
    return Refuse(exchange, wire::REASON_BAD_REQUEST, "a send id is a number of at most 18 digits");
  }
  if (!Here(exchange, user)) return;
  frame_.Clear();
  wire::Submit* submit = frame_.add_submits();
  submit->set_send_id(send_id);
  submit->set_friend_(peer);
  if (!net::QueryValue(query, "message", submit->mutable_body())) {
    return Refuse(exchange, wire::REASON_BAD_REQUEST,
                  "?message= is missing or not properly percent-encoded");
  }
  frame_.set_reply_when(wire::REPLY_TAKEN);
  Ask(exchange, Kind::kChat, user, frame_);
}

void Gateway::ReadBoxOf(net::HttpExchange& exchange, UserId user, wire::BoxName box,
                        std::string_view query) {
  std::uint64_t from = 1;
  std::uint64_t limit = kDefaultLimit;
  std::string text;
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

// ---------------------------------------------------------------- /v1

void Gateway::RouteV1(net::HttpExchange& exchange, std::string_view rest, std::string_view query) {
  if (rest == "connect") return Connect(exchange, query);
  if (Next(&rest) != "users") {
    if (extra_ && extra_(exchange)) return;
    return Refuse(exchange, wire::REASON_NOT_FOUND);
  }
  UserId user = 0;
  if (!ParseId(Next(&rest), &user) || user == 0) {
    return Refuse(exchange, wire::REASON_BAD_REQUEST, kUserForm);
  }
  if (!rest.empty() && rest.back() == '/') rest.remove_suffix(1);
  if (rest == "messages") {
    if (NeedMethod(exchange, "POST") && Here(exchange, user)) PostMessages(exchange, user);
  } else if (rest == "cursor") {
    if (NeedMethod(exchange, "PUT") && Here(exchange, user)) PutCursor(exchange, user);
  } else if (NeedMethod(exchange, "GET")) {
    RouteUser(exchange, user, rest, query);
  }
}

void Gateway::RouteUser(net::HttpExchange& exchange, UserId user, std::string_view what,
                        std::string_view query) {
  if (what == "inbox") return ReadBoxOf(exchange, user, wire::BOX_INBOX, query);
  if (what == "outbox") return ReadBoxOf(exchange, user, wire::BOX_OUTBOX, query);
  if (!what.empty()) return Refuse(exchange, wire::REASON_NOT_FOUND);
  if (!Here(exchange, user)) return;
  frame_.Clear();
  frame_.set_get_user(true);
  Ask(exchange, Kind::kUser, user, frame_);
}

void Gateway::PostMessages(net::HttpExchange& exchange, UserId user) {
  const auto submits = ParseMessages(exchange.request().body, options_.max_submits_per_frame);
  if (!submits) return Refuse(exchange, wire::REASON_BAD_REQUEST, submits.error());
  frame_.Clear();
  for (const wire::Submit& submit : *submits) *frame_.add_submits() = submit;
  frame_.set_reply_when(wire::REPLY_STORED);
  Ask(exchange, Kind::kSubmitV1, user, frame_, static_cast<std::uint32_t>(submits->size()));
}

void Gateway::PutCursor(net::HttpExchange& exchange, UserId user) {
  const auto cursor = ParseCursor(exchange.request().body);
  if (!cursor) return Refuse(exchange, wire::REASON_BAD_REQUEST, cursor.error());
  frame_.Clear();
  frame_.set_read_up_to(*cursor);
  frame_.set_ping(1);  // so that there is an answer
  Ask(exchange, Kind::kCursor, user, frame_);
}

}  // namespace baiwan::cell
