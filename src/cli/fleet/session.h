// The operator's side of a run across hosts: makes the hosts, hands the journey over to the control
// host, shows how it goes on there, fetches what came of it, and destroys the hosts.
//
// Everything is kept in RUNS/NAME: plan.toml, journey.json (as last seen), provider/ (the
// provider's own files), package/, tools/ (streams of the programs that were called), and in the
// end report/ and collected/. Whoever is disconnected may go on from there with another session.
// One that only looks has a folder of its own within tools/, and leaves everything else alone.
//
// Threads: the main one. Failure: a sentence on standard error, and an exit code.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/fleet/show.h"
#include "fleet/controller.h"
#include "fleet/operator_crew.h"
#include "fleet/plan.h"
#include "supervise/stop_signals.h"

namespace baiwan::cli {

inline constexpr const char* kRunsHere = "fleet";

struct SessionOptions {
  std::string
      runs;  // the folder of runs' folders; empty: kRunsHere, or where the run is known to be
  std::string run;
  std::string known_runs;  // where that is kept, see known_runs.h
  bool json = false;
  fleet::Step until = fleet::Step::kDown;
  Nanos hand_over_again = 2 * kSecond;  // after an attempt that failed
  Nanos fetch_again = 5 * kSecond;
  std::string deploy;  // providers and what goes to the hosts; empty: what belongs to this program
};

class Session {
 public:
  explicit Session(SessionOptions options);
  ~Session();

  // A new run; its name must be free.
  int Begin(const fleet::FleetPlan& plan);
  // A run that is there, from where it stands.
  int GoOn();
  // Only looks.
  int Attach();
  // Ends it, wherever it is. kDone says that everything is destroyed, whatever became of the run.
  int Down();

 private:
  bool Open(bool to_change);
  bool FindFolder();
  std::optional<std::string> MakeFolderAgain(const std::string& plan);
  void Known(bool destroyed);  // keeps where the run is
  int Carry();
  bool Mine(fleet::Step first, fleet::Step last);
  std::optional<std::string> Bundle();
  std::optional<std::string> PublishPackage(const std::string& bundle);
  bool HandOver();
  bool OnlyDestroy(const std::string& why);
  bool Follow();
  // Over one connection. `nobody`: what is said where no controller works.
  bool FollowOnce(bool* over, Nanos* last_heard, std::string* nobody);
  bool Fetch();
  std::string FetchOnce();
  int Finish();
  int LeftOff();
  bool Theirs() const;  // the control host's part has begun, and is not over
  std::string Reach();  // how the control host is reached now; why it cannot be, or nothing
  // Whether the run was handed over to the control host; why that is not known, or nothing.
  std::string HasTakenOver(bool* there);
  fleet::Argv OnControl(const std::string& command) const;
  std::unique_ptr<fleet::Tool> Board();
  bool Stopped();
  int Wrong(const std::string& sentence);
  fleet::ProviderAt Provider() const;
  std::optional<fleet::Failure> CheckThePlan();
  void ReportHere();
  void AddTheBill();
  fleet::OperatorCrewOptions Crew();
  bool Save();

  const SessionOptions o_;
  std::string folder_;  // absolute
  std::string tools_;   // for the streams of what is called
  std::string deploy_;
  fleet::FleetPlan plan_;
  fleet::Journey journey_;
  fleet::Argv ssh_;
  bool gone_ = false;  // so says the provider of the control host
  Show show_;
  bool only_destroys_ = false;  // that is what was asked for
  bool detached_ = false;
  bool goes_on_ = false;    // on the control host, as this session knows
  std::string unfetched_;   // the hosts stay: why
  bool broke_off_ = false;  // here: what is known cannot be kept, or a program not be started
  supervise::StopSignals signals_;
  class Lock;
  std::unique_ptr<Lock> lock_;
};

}  // namespace baiwan::cli
