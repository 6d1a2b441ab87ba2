#include "verify/case.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "stress/graph_text.h"
#include "stress/ledger.h"

namespace baiwan::verify {
namespace {

void ReadLedger(const std::string& path, const Population& people, std::vector<Told>& told,
                VerifyReport* report) {
  const auto ledger = stress::ReadLedger(path);
  if (!ledger) return report->errors.push_back(ledger.error());
  if (ledger->damaged > 0) {
    report->errors.push_back(
        fmt::format("ledger {}: {} records are damaged: what these users were told is not known",
                    path, ledger->damaged));
  }
  std::uint64_t strangers = 0;
  std::uint64_t others = 0;
  for (const stress::Ledger::Entry& entry : ledger->entries) {
    const Population::Number n = people.Find(entry.user);
    if (n == Population::kNobody) {
      ++strangers;
      continue;
    }
    if (!people.IsOwn(n)) {
      ++others;
      continue;
    }
    told[n].send_id = std::max(told[n].send_id, entry.send_id);
    told[n].send_ack_id = std::max(told[n].send_ack_id, entry.send_ack_id);
  }
  if (strangers > 0) {
    report->errors.push_back(
        fmt::format("ledger {} is of another test: {} of its users are not in the friend graph",
                    path, strangers));
  }
  if (others > 0) {
    report->errors.push_back(fmt::format(
        "ledger {}: {} of its users are of cells of another share: give it where that is made",
        path, others));
  }
}

}  // namespace

bool Prepare(const VerifyOptions& options, std::optional<CellRange> own, Case* made,
             VerifyReport* report) {
  const auto refuse = [report](std::string why) {
    report->errors.push_back(std::move(why));
    return false;
  };
  if (options.graph_file.empty()) {
    if (const auto wrong = stress::Validate(options.spec)) return refuse(*wrong);
    const CellRange all{0, options.spec.cells - 1};
    if (own && own->last > all.last) {
      return refuse(fmt::format("there is no cell {}: the cells are 0 to {}", own->last, all.last));
    }
    made->people =
        Population::Generate(options.spec, own.value_or(all), std::max(options.threads, 1u));
  } else {
    auto graph = stress::ReadGraphText(options.graph_file);
    if (!graph) return refuse(graph.error());
    made->people = Population(std::move(*graph));
  }
  const std::uint64_t relations = made->people.own_relations();
  made->books = std::make_unique<Books>(options.spec, made->people);
  report->expected_messages = stress::MessagesOf(options.spec, relations);
  report->complete = options.expect_complete;
  if (!options.ledgers.empty()) made->told.resize(made->people.own_users());
  for (const std::string& path : options.ledgers) {
    ReadLedger(path, made->people, made->told, report);
  }
  return true;
}

void CountUsers(const Case& made, const Census& census, VerifyReport* report) {
  for (Population::Number n = 0; n < made.people.own_users(); ++n) {
    if (census.homes[n] == Census::kNowhere) continue;
    ++report->users;
    report->relations += made.people.friends(n).size();
    report->sent += made.books->users[n].sent;
  }
  for (const RelationBook& relation : made.books->relations) {
    report->acknowledged += relation.acked;
    report->distinct += std::max(relation.sent, relation.received);
  }
}

}  // namespace baiwan::verify
