#include "net/http_answer.h"

#include <charconv>

namespace baiwan::net {
namespace {

void AppendNumber(std::string& out, std::uint64_t number) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, static_cast<std::size_t>(end - digits));
}

bool IsSafe(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

void AppendFields(std::string& out, const Headers& fields) {
  for (const auto& [name, value] : fields) {
    if (!IsSafe(name) || !IsSafe(value)) continue;
    out.append(name).append(": ").append(value).append("\r\n");
  }
}

}  // namespace

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Unknown";
  }
}

void AppendAnswer(std::string& out, const AnswerForm& form, int status,
                  std::string_view content_type, std::string_view body, const Headers& extra) {
  const bool has_body = status >= 200 && status != 204 && status != 304;
  out.append("HTTP/1.1 ");
  AppendNumber(out, static_cast<std::uint64_t>(status));
  out.push_back(' ');
  out.append(ReasonPhrase(status)).append("\r\n");
  if (has_body) {
    if (!content_type.empty() && IsSafe(content_type)) {
      out.append("Content-Type: ").append(content_type).append("\r\n");
    }
    out.append("Content-Length: ");
    AppendNumber(out, body.size());
    out.append("\r\n");
  }
  if (!form.keep_alive) {
    out.append("Connection: close\r\n");
  } else if (form.http10) {
    out.append("Connection: keep-alive\r\n");
  }
  AppendFields(out, extra);
  out.append("\r\n");
  if (has_body && !form.head_only) out.append(body);
}

std::string ErrorBody(std::string_view code, std::string_view message) {
  std::string body = "{\"error\":\"";
  body.append(code).append("\",\"message\":\"").append(message).append("\"}");
  return body;
}

void AppendRequest(std::string& out, std::string_view method, std::string_view target,
                   const Endpoint& host, const Headers& extra, std::string_view body) {
  out.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: ");
  out.append(host.ToString()).append("\r\n");
  AppendFields(out, extra);
  if (!body.empty() || (method != "GET" && method != "HEAD")) {
    out.append("Content-Length: ");
    AppendNumber(out, body.size());
    out.append("\r\n");
  }
  out.append("\r\n").append(body);
}

}  // namespace baiwan::net
