#include "supervise/stop_signals.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>

namespace baiwan::supervise {

StopSignals::StopSignals() {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&mask, signal);
  ::pthread_sigmask(SIG_BLOCK, &mask, &before_);
  fd_ = UniqueFd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
}

StopSignals::~StopSignals() {
  while (Wait(0) != 0) {  // what was asked for is done; it must not end the process now
  }
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

int StopSignals::Wait(Nanos within) {
  pollfd poll{fd_.get(), POLLIN, 0};
  const timespec wait{static_cast<time_t>(std::max<Nanos>(0, within) / kSecond),
                      static_cast<long>(std::max<Nanos>(0, within) % kSecond)};
  ::ppoll(&poll, 1, &wait, nullptr);
  signalfd_siginfo info{};
  return ::read(fd_.get(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo)
                                                              : 0;
}

}  // namespace baiwan::supervise
