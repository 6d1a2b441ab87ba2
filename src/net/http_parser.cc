#include "net/http_parser.h"

#include <boost/beast/http/basic_parser.hpp>
#include <optional>

#include "net/http_chunks.h"
#include "net/http_faults.h"
#include "net/http_head.h"
#include "net/http_host.h"

namespace baiwan::net {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using ErrorCode = beast::error_code;
using BeastView = beast::string_view;

constexpr std::size_t kKeepCapacity = 8 << 10;  // buffers larger than this are given back

constexpr std::string_view kScheme = "http://";

std::string_view View(BeastView v) { return {v.data(), v.size()}; }

bool IEquals(std::string_view a, std::string_view b) {
  return beast::iequals(BeastView(a.data(), a.size()), BeastView(b.data(), b.size()));
}

// Whether a comma-separated list of tokens holds `token`, in any case (RFC 9110, section 5.6.1).
bool ListHas(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    auto item = list.substr(0, comma);
    while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
    while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
    if (IEquals(item, token)) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

// Whether the first line ends in a well-formed version that is not one of ours.
bool NamesAnotherVersion(std::string_view head) {
  const auto line = head.substr(0, head.find('\r'));
  if (line.size() < 9) return false;
  const auto v = line.substr(line.size() - 9);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return v.substr(0, 6) == " HTTP/" && digit(v[6]) && v[7] == '.' && digit(v[8]) &&
         v.substr(6) != "1.0" && v.substr(6) != "1.1";
}

// Beast's parser with its callbacks sorted into what a message here is made of. A parser serves one
// message and is given the whole head at once, so that the views it hands out stay together.
template <bool kIsRequest>
class Message final : public http::basic_parser<kIsRequest> {
 public:
  Message(std::size_t head_bytes, std::uint64_t max_body) {
    this->header_limit(static_cast<std::uint32_t>(head_bytes) + 1);
    this->body_limit(max_body);
  }

  std::string_view method, target;
  int status = 0;
  int version = 11;
  int hosts = 0;
  int lengths = 0;
  bool upgrade_websocket = false;
  bool connection_upgrade = false;
  bool expects_continue = false;
  const HttpFault* fault = nullptr;
  std::vector<std::pair<std::string_view, std::string_view>>* fields = nullptr;
  std::string* body = nullptr;

 private:
  void on_request_impl(http::verb, BeastView m, BeastView t, int v, ErrorCode&) override {
    method = View(m);
    target = View(t);
    version = v;
  }
  void on_response_impl(int code, BeastView, int v, ErrorCode&) override {
    status = code;
    version = v;
  }
  void on_field_impl(http::field f, BeastView name, BeastView value, ErrorCode& error) override {
    const std::string_view text = View(value);
    fields->emplace_back(View(name), text);
    switch (f) {
      case http::field::host:
        ++hosts;
        break;
      case http::field::content_length:
        if (++lengths > 1 || text.find(',') != text.npos) Fail(kBadLength, error);
        break;
      case http::field::transfer_encoding:
        if (!IEquals(text, "chunked")) Fail(kBadCoding, error);
        break;
      case http::field::connection:
        connection_upgrade = connection_upgrade || ListHas(text, "upgrade");
        break;
      case http::field::upgrade:
        upgrade_websocket = upgrade_websocket || ListHas(text, "websocket");
        break;
      case http::field::expect:
        if (!IEquals(text, "100-continue")) return Fail(kExpectation, error);
        expects_continue = true;
        break;
      default:
        break;
    }
  }
  void on_header_impl(ErrorCode&) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const&, ErrorCode&) override {}
  std::size_t on_body_impl(BeastView piece, ErrorCode&) override { return Append(piece); }
  void on_chunk_header_impl(std::uint64_t, BeastView, ErrorCode&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, BeastView piece, ErrorCode&) override {
    return piece.size();  // never: chunks are not put into this parser
  }
  void on_finish_impl(ErrorCode&) override {}

  std::size_t Append(BeastView piece) {
    body->append(piece.data(), piece.size());
    return piece.size();
  }
  void Fail(const HttpFault& why, ErrorCode& error) {
    fault = &why;
    error = http::error::bad_value;
  }
};

const HttpFault& FaultOf(const ErrorCode& error, const HttpFault* own, std::string_view head) {
  if (own != nullptr) return *own;
  if (error == http::error::bad_version)
    return NamesAnotherVersion(head) ? kBadVersion : kBadRequest;
  if (error == http::error::bad_target) return kBadTarget;
  if (error == http::error::bad_field || error == http::error::bad_value) return kBadField;
  if (error == http::error::bad_content_length || error == http::error::multiple_content_length)
    return kBadLength;
  if (error == http::error::bad_transfer_encoding) return kBadLength;
  if (error == http::error::body_limit) return kBodyTooLarge;
  if (error == http::error::header_limit) return kHeadTooLarge;
  return kBadRequest;
}

// Feeds a body without chunks to Beast until it wants more or the message is complete. Returns the
// bytes used.
template <class Parser>
std::size_t PutBody(Parser& parser, std::string_view data, ErrorCode& error) {
  std::size_t used = 0;
  while (!parser.is_done() && used < data.size()) {
    used += parser.put(boost::asio::const_buffer(data.data() + used, data.size() - used), error);
    if (error) break;
  }
  if (error == http::error::need_more) error = {};
  return used;
}

// Empties a buffer, and gives its memory back if it had become large.
void Release(std::string& buffer) {
  buffer.clear();
  if (buffer.capacity() > kKeepCapacity) std::string().swap(buffer);
}

void Rebase(std::string_view& view, const char* from, const char* to) {
  if (view.data() != nullptr) view = {to + (view.data() - from), view.size()};
}

}  // namespace

class RequestParser::Impl {
 public:
  Impl(std::size_t max_head, std::size_t max_body) : max_head_(max_head), max_body_(max_body) {}

  std::size_t Put(std::string_view data) {
    if (state == HttpParseState::kBody) return PutBodyBytes(data);
    std::size_t blank = 0;  // empty lines before a request are skipped: RFC 9112, section 2.2
    while (data.substr(blank, 2) == "\r\n") blank += 2;
    return blank + PutHead(data.substr(blank));
  }

  void Next() {
    state = HttpParseState::kHead;
    begun = false;
    wants_continue = false;
    request.headers.clear();
    scanner_.Reset();
    message_.reset();
    Release(head_);
    Release(body_);
  }

  std::size_t held() const { return head_.capacity() + body_.capacity(); }
  bool http10() const { return message_ && message_->version == 10; }

  HttpParseState state = HttpParseState::kHead;
  HttpRequest request;
  HttpFault fault;
  bool begun = false;
  bool wants_continue = false;

 private:
  std::size_t PutHead(std::string_view data) {
    begun = !data.empty();
    const auto found = scanner_.Scan(data);
    const std::size_t seen = found == HeadScanner::Found::kEnd ? scanner_.end() : data.size();
    if (seen > max_head_) {
      return Fail(data.substr(0, max_head_).find('\n') == data.npos ? kTargetTooLong
                                                                    : kHeadTooLarge);
    }
    if (found == HeadScanner::Found::kBareLineFeed) return Fail(kLoneLineFeed);
    if (found == HeadScanner::Found::kFolded) return Fail(kFoldedField);
    if (found == HeadScanner::Found::kNotYet) return 0;
    const std::string_view head = data.substr(0, scanner_.end());
    const HttpFault* wrong = ParseHead(head);
    if (wrong != nullptr) return Fail(*wrong);
    return head.size() + BeginBody(head, data.substr(head.size()));
  }

  const HttpFault* ParseHead(std::string_view head) {
    message_.emplace(head.size(), max_body_);
    message_->fields = &request.headers;
    message_->body = &body_;
    ErrorCode error;
    message_->put(boost::asio::const_buffer(head.data(), head.size()), error);
    if (error || !message_->is_header_done()) return &FaultOf(error, message_->fault, head);
    const Message<true>& m = *message_;
    if (m.hosts > 1 || (m.hosts == 0 && m.version >= 11)) return &kBadHost;
    // RFC 9112, section 6.1: a transfer coding in HTTP/1.0 is a sign of a faulty framing.
    if (m.chunked() && m.version < 11) return &kBadCoding;
    request.method = m.method;
    request.target = m.target;
    if (!SplitTarget()) return &kBadTarget;
    if (m.hosts > 0) request.host = request.Header("Host");
    if (!request.host.empty() && request.host != host_) {
      if (!ParseHost(request.host)) return &kBadHostName;
      host_ = request.host;
    }
    // What comes behind a handshake that is refused is not another request.
    request.keep_alive = m.keep_alive() && !m.upgrade_websocket;
    request.wants_websocket = m.upgrade_websocket && m.connection_upgrade && m.version >= 11;
    request.body = {};
    wants_continue = m.expects_continue && m.version >= 11 && !m.is_done();
    return nullptr;
  }

  // Path and query of the target (RFC 9112, section 3.2): as a path, as an http URL, or "*" of
  // OPTIONS. False if it is none of these.
  bool SplitTarget() {
    std::string_view rest = request.target;
    request.host = {};
    if (IEquals(rest.substr(0, kScheme.size()), kScheme)) {
      const auto path = rest.find_first_of("/?#", kScheme.size());
      request.host = rest.substr(kScheme.size(), path - kScheme.size());
      if (!ParseHost(request.host)) return false;
      rest = path == rest.npos ? std::string_view("/") : rest.substr(path);
    } else if (rest.front() != '/' && !(rest == "*" && request.method == "OPTIONS")) {
      return false;
    }
    const auto question = rest.find('?');
    request.path = rest.substr(0, question);
    request.query = question == rest.npos ? std::string_view{} : rest.substr(question + 1);
    if (request.path.empty()) request.path = "/";
    return true;
  }

  std::size_t BeginBody(std::string_view head, std::string_view rest) {
    if (message_->is_done()) {
      state = HttpParseState::kReady;
      return 0;
    }
    if (!message_->chunked()) {
      const std::uint64_t length = *message_->content_length();
      if (rest.size() >= length) {
        request.body = rest.substr(0, length);
        state = HttpParseState::kReady;
        return length;
      }
      length_ = length;
    } else {
      chunks_ = ChunkDecoder(max_body_, max_head_);
    }
    KeepHead(head);
    state = HttpParseState::kBody;
    return rest.empty() ? 0 : PutBodyBytes(rest);
  }

  // The head has to outlive the bytes it came in.
  void KeepHead(std::string_view head) {
    head_.assign(head);
    const char* from = head.data();
    const char* to = head_.data();
    for (auto* view :
         {&request.method, &request.target, &request.path, &request.query, &request.host}) {
      if (view->data() >= from && view->data() <= from + head.size()) Rebase(*view, from, to);
    }
    for (auto& [name, value] : request.headers) {
      Rebase(name, from, to);
      Rebase(value, from, to);
    }
  }

  std::size_t PutBodyBytes(std::string_view data) {
    std::size_t used = 0;
    bool done = false;
    if (message_->chunked()) {
      used = chunks_.Put(data, &body_);
      if (chunks_.fault() != ChunkFault::kNone) return Fail(FaultOf(chunks_.fault()));
      done = chunks_.done();
    } else {
      used = std::min<std::uint64_t>(length_ - body_.size(), data.size());
      body_.append(data.data(), used);
      done = body_.size() == length_;
    }
    if (done) {
      request.body = body_;
      state = HttpParseState::kReady;
    }
    return used;
  }

  std::size_t Fail(const HttpFault& why) {
    fault = why;
    state = HttpParseState::kFailed;
    return 0;
  }

  const std::size_t max_head_;
  const std::size_t max_body_;
  HeadScanner scanner_;
  std::optional<Message<true>> message_;
  std::uint64_t length_ = 0;  // of a body that is not chunked
  ChunkDecoder chunks_;       // of one that is
  std::string host_;          // of the last request that had one, which was in order
  std::string head_;          // copy of the head while its body is awaited
  std::string body_;
};

RequestParser::RequestParser(std::size_t max_head, std::size_t max_body)
    : impl_(std::make_unique<Impl>(max_head, max_body)) {}
RequestParser::~RequestParser() = default;
std::size_t RequestParser::Put(std::string_view data) { return impl_->Put(data); }
HttpParseState RequestParser::state() const { return impl_->state; }
const HttpRequest& RequestParser::request() const { return impl_->request; }
const HttpFault& RequestParser::fault() const { return impl_->fault; }
bool RequestParser::http10() const { return impl_->http10(); }
bool RequestParser::TakeContinue() {
  return std::exchange(impl_->wants_continue, false) && impl_->state == HttpParseState::kBody;
}
bool RequestParser::begun() const { return impl_->begun; }
std::size_t RequestParser::held_bytes() const { return impl_->held(); }
void RequestParser::Next() { impl_->Next(); }

class ResponseParser::Impl {
 public:
  Impl(std::size_t max_head, std::size_t max_body) : max_head_(max_head), max_body_(max_body) {}

  void Begin(bool to_head) {
    to_head_ = to_head;
    response = HttpResponse();
    StartOver();
  }

  std::size_t Put(std::string_view data) {
    std::size_t used = 0;
    while (state == HttpParseState::kHead) {
      const auto rest = data.substr(used);
      const auto found = scanner_.Scan(rest);
      const std::size_t seen = found == HeadScanner::Found::kEnd ? scanner_.end() : rest.size();
      if (seen > max_head_) return Fail(kHeadTooLarge);
      if (found == HeadScanner::Found::kNotYet) return used;
      if (found != HeadScanner::Found::kEnd) return Fail(kBadResponse);
      const auto head = rest.substr(0, scanner_.end());
      if (const HttpFault* wrong = ParseHead(head)) return Fail(*wrong);
      used += head.size();
    }
    return state == HttpParseState::kBody ? used + PutBodyBytes(data.substr(used)) : used;
  }

  void PutEof() {
    if (state != HttpParseState::kBody || !message_->need_eof()) {
      Fail(kCutOff);
      return;
    }
    ErrorCode error;
    message_->put_eof(error);
    state = HttpParseState::kReady;
  }

  bool keep_alive() const { return message_->keep_alive(); }

  HttpParseState state = HttpParseState::kHead;
  HttpResponse response;
  HttpFault fault;

 private:
  void StartOver() {
    state = HttpParseState::kHead;
    scanner_.Reset();
    message_.reset();
    fields_.clear();
  }

  const HttpFault* ParseHead(std::string_view head) {
    message_.emplace(head.size(), max_body_);
    message_->fields = &fields_;
    message_->body = &response.body;
    if (to_head_) message_->skip(true);
    ErrorCode error;
    message_->put(boost::asio::const_buffer(head.data(), head.size()), error);
    if (error || !message_->is_header_done()) {
      return message_->fault != nullptr || error == http::error::body_limit
                 ? &FaultOf(error, message_->fault, {})
                 : &kBadResponse;
    }
    response.status = message_->status;
    if (response.status / 100 == 1 && response.status != 101) {
      StartOver();
      return nullptr;
    }
    for (const auto& [name, value] : fields_) response.headers.emplace_back(name, value);
    state = message_->is_done() ? HttpParseState::kReady : HttpParseState::kBody;
    chunks_ = ChunkDecoder(max_body_, max_head_);
    return nullptr;
  }

  std::size_t PutBodyBytes(std::string_view data) {
    if (message_->chunked()) {
      const std::size_t used = chunks_.Put(data, &response.body);
      if (chunks_.fault() != ChunkFault::kNone) return Fail(FaultOf(chunks_.fault()));
      if (chunks_.done()) state = HttpParseState::kReady;
      return used;
    }
    ErrorCode error;
    const std::size_t used = PutBody(*message_, data, error);
    if (error) return Fail(FaultOf(error, message_->fault, {}));
    if (message_->is_done()) state = HttpParseState::kReady;
    return used;
  }

  std::size_t Fail(const HttpFault& why) {
    fault = why;
    state = HttpParseState::kFailed;
    return 0;
  }

  const std::size_t max_head_;
  const std::size_t max_body_;
  bool to_head_ = false;
  HeadScanner scanner_;
  std::optional<Message<false>> message_;
  ChunkDecoder chunks_;
  std::vector<std::pair<std::string_view, std::string_view>> fields_;
};

ResponseParser::ResponseParser(std::size_t max_head, std::size_t max_body)
    : impl_(std::make_unique<Impl>(max_head, max_body)) {}
ResponseParser::~ResponseParser() = default;
void ResponseParser::Begin(bool to_head) { impl_->Begin(to_head); }
std::size_t ResponseParser::Put(std::string_view data) { return impl_->Put(data); }
void ResponseParser::PutEof() { impl_->PutEof(); }
HttpParseState ResponseParser::state() const { return impl_->state; }
HttpResponse& ResponseParser::response() { return impl_->response; }
const HttpFault& ResponseParser::fault() const { return impl_->fault; }
bool ResponseParser::keep_alive() const { return impl_->keep_alive(); }

}  // namespace baiwan::net
