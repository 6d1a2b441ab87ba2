#include "base/budget.h"

namespace baiwan {

const char* Name(Account account) {
  switch (account) {
    case Account::kConnections:
      return "connections";
    case Account::kReorder:
      return "reorder";
    case Account::kCommits:
      return "commits";
    case Account::kLinks:
      return "links";
    case Account::kUsers:
      return "users";
    case Account::kStore:
      return "store";
    case Account::kProgram:
      return "program";
  }
  return "unknown";
}

}  // namespace baiwan
