// Everything that a series file tells its reader, kept for a test to look at.
#pragma once

#include <vector>

#include "monitor/series.h"

namespace baiwan::monitor::testing {

struct Record final : SeriesVisitor {
  void OnHeader(const SeriesHeader& h) override { headers.push_back(h); }
  void OnSample(const Sample& s) override { samples.push_back(s); }
  void OnBeat(const Beat& b) override { beats.push_back(b); }
  std::vector<SeriesHeader> headers;
  std::vector<Sample> samples;
  std::vector<Beat> beats;
};

}  // namespace baiwan::monitor::testing
