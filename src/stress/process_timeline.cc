#include "stress/process_timeline.h"

namespace baiwan::stress {

using supervise::EventKind;
using supervise::KeptEvent;

TimelineEvent ProcessTimeline::Of(const KeptEvent& event, const std::string& what) const {
  const std::string who = host_.empty() ? event.child : event.child + " on " + host_;
  return {event.ms, 0, kRestartEvent, who, what, true};
}

void ProcessTimeline::Close(Process* process) {
  if (process->open) ends_.Add(std::move(process->end));
  process->open = false;
}

void ProcessTimeline::Take(const KeptEvent& event) {
  Process& process = processes_[event.child];
  switch (event.kind) {
    case EventKind::kStarted:
      // Nothing was said of an end: who should have said it had ended as well.
      if (process.up) {
        Close(&process);
        process.end = Of(event, "began again, after its supervisor or its host had ended");
        process.open = true;
      }
      process.up = true;
      if (process.open) process.end.until_ms = event.ms;
      break;
    case EventKind::kReady:  // later than that it runs
      if (process.open) process.end.until_ms = event.ms;
      break;
    case EventKind::kExited:
      Close(&process);
      process.up = false;
      if (event.asked || event.success) break;
      process.end = Of(event, event.text);
      process.open = true;
      break;
    case EventKind::kRestarting:
      if (process.open) break;
      process.end = Of(event, "ended by itself");  // with code 0, where it should have stayed
      process.open = true;
      break;
    case EventKind::kGaveUp:
      Close(&process);
      ends_.Add(Of(event, event.text));
      break;
    case EventKind::kKilled:
      ends_.Add(Of(event, "did not stop in time and was killed"));
      break;
  }
}

void ProcessTimeline::AddTo(Timeline* timeline) {
  for (auto& [name, process] : processes_) Close(&process);
  for (TimelineEvent& event : ends_.Take()) timeline->Add(std::move(event));
}

}  // namespace baiwan::stress
