#include "cell/logic/logic.h"

namespace baiwan::cell {

int StatusOf(wire::Reason reason) {
  switch (reason) {
    case wire::REASON_NONE:
      return 200;
    case wire::REASON_BAD_REQUEST:
    case wire::REASON_BAD_SEND_ID:
      return 400;
    case wire::REASON_NOT_FRIEND:
      return 403;
    case wire::REASON_UNKNOWN_USER:
    case wire::REASON_NOT_FOUND:
      return 404;
    case wire::REASON_METHOD:
      return 405;
    case wire::REASON_SEND_ID_CONFLICT:
    case wire::REASON_BEYOND_END:
      return 409;
    case wire::REASON_BODY_TOO_LARGE:
      return 413;
    case wire::REASON_WINDOW:
    case wire::REASON_OUTBOX_FULL:
    case wire::REASON_TOO_MANY_REQUESTS:
      return 429;
    case wire::REASON_OVERLOADED:
    case wire::REASON_NOT_READY:
    case wire::REASON_PAIR_DIVERGED:
      return 503;
    case wire::REASON_TIMEOUT:
      return 504;
    case wire::REASON_CORRUPT:
      return 500;
    case wire::REASON_WRONG_CELL:
      return 307;
    case wire::REASON_NOT_IMPLEMENTED:
      return 501;
    default:
      return 500;
  }
}

const char* CodeOf(wire::Reason reason) {
  switch (reason) {
    case wire::REASON_NONE:
      return "none";
    case wire::REASON_BAD_REQUEST:
      return "bad_request";
    case wire::REASON_BAD_SEND_ID:
      return "bad_send_id";
    case wire::REASON_NOT_FRIEND:
      return "not_friend";
    case wire::REASON_UNKNOWN_USER:
      return "unknown_user";
    case wire::REASON_SEND_ID_CONFLICT:
      return "send_id_conflict";
    case wire::REASON_BODY_TOO_LARGE:
      return "body_too_large";
    case wire::REASON_WINDOW:
      return "window";
    case wire::REASON_OUTBOX_FULL:
      return "outbox_full";
    case wire::REASON_OVERLOADED:
      return "overloaded";
    case wire::REASON_NOT_READY:
      return "not_ready";
    case wire::REASON_PAIR_DIVERGED:
      return "pair_diverged";
    case wire::REASON_TIMEOUT:
      return "timeout";
    case wire::REASON_CORRUPT:
      return "corrupt";
    case wire::REASON_WRONG_CELL:
      return "wrong_cell";
    case wire::REASON_NOT_IMPLEMENTED:
      return "not_implemented";
    case wire::REASON_NOT_FOUND:
      return "not_found";
    case wire::REASON_METHOD:
      return "method_not_allowed";
    case wire::REASON_BEYOND_END:
      return "beyond_end";
    case wire::REASON_TOO_MANY_REQUESTS:
      return "too_many_requests";
    default:
      return "unknown";
  }
}

const char* Describe(wire::Reason reason) {
  switch (reason) {
    case wire::REASON_NONE:
      return "";
    case wire::REASON_BAD_REQUEST:
      return "the request does not have the form that is documented";
    case wire::REASON_BAD_SEND_ID:
      return "send ids are whole numbers from 1 on";
    case wire::REASON_NOT_FRIEND:
      return "the receiver is not a friend of the sender";
    case wire::REASON_UNKNOWN_USER:
      return "there is no such user";
    case wire::REASON_SEND_ID_CONFLICT:
      return "that send id is bound to other content";
    case wire::REASON_BODY_TOO_LARGE:
      return "the body is over the limit";
    case wire::REASON_WINDOW:
      return "the send id is beyond the window: wait until earlier messages are stored";
    case wire::REASON_OUTBOX_FULL:
      return "too many messages wait for friends' cells: wait until some are acknowledged";
    case wire::REASON_OVERLOADED:
      return "the cell has as much work as it can take";
    case wire::REASON_NOT_READY:
      return "the cell is starting or stopping";
    case wire::REASON_PAIR_DIVERGED:
      return "the stores of sender and receiver disagree; an operator has to look at it";
    case wire::REASON_TIMEOUT:
      return "no answer in time: the message may be, or become, stored";
    case wire::REASON_CORRUPT:
      return "this user's records do not read back";
    case wire::REASON_WRONG_CELL:
      return "this user is served by another gateway";
    case wire::REASON_NOT_IMPLEMENTED:
      return "not built yet";
    case wire::REASON_NOT_FOUND:
      return "there is nothing under this path";
    case wire::REASON_METHOD:
      return "this path does not take this method";
    case wire::REASON_BEYOND_END:
      return "the inbox does not go that far: its end, and the life of the store, are told";
    case wire::REASON_TOO_MANY_REQUESTS:
      return "as much as one user may have waiting waits already";
    default:
      return "unknown";
  }
}

}  // namespace baiwan::cell
