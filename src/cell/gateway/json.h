// The gateway's JSON bodies.
//
// What is written often is written by hand into a string that the caller reuses; what is read is
// read by a library, in the .cc. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "wire/client.pb.h"

namespace baiwan::cell {

// {"SendId":…,"ReceiveId":…,"SendAckId":…,"ClientReceiveId":…,"friends":["2","17"]}: the source's.
void AppendUserJson(const wire::UserInfo& user, std::string* out);
// {"messages":[…],"next":…,"life":…}; a body that is not UTF-8 comes as body_base64.
void AppendPageJson(const wire::BoxPage& page, std::string* out);
// {"error":…,"message":…}, with send_id, window_end, end and life where the refusal has them.
void AppendRefusalJson(const wire::Refusal& refusal, std::string* out);
// {"stored":n}, and what was refused of several messages: the first refusal's own fields, and all
// of them under "refused".
void AppendResultsJson(Seq stored, const std::vector<wire::Refusal>& refused, std::string* out);
// A JSON string with its quotes. `text` must be UTF-8.
void AppendJsonString(std::string_view text, std::string* out);
std::string Base64(std::string_view data);
// False if it is not exactly what Base64 would have written.
bool Base64Decode(std::string_view text, std::string* out);

// POST /v1/users/{id}/messages: one message, or {"messages":[…]}, at most `max`. The error is a
// sentence.
Result<std::vector<wire::Submit>, std::string> ParseMessages(std::string_view body,
                                                             std::size_t max);
// PUT /v1/users/{id}/cursor: {"read_up_to":n}.
Result<Seq, std::string> ParseCursor(std::string_view body);
// A text frame of /v1/connect: JSON as RFC 8259 has it, in protobuf's mapping; fields that are not
// known are skipped. False if it is neither.
bool ParseClientFrame(std::string_view text, wire::ClientFrame* frame);

}  // namespace baiwan::cell
