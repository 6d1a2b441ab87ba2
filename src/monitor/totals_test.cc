#include "monitor/totals.h"

#include <gtest/gtest.h>

#include "base/testing/temp_folder.h"
#include "monitor/series.h"

namespace baiwan::monitor {
namespace {

Sample Of(const std::string& name, std::uint64_t incarnation, Values values) {
  Sample s;
  s.name = name;
  s.roles = {"logic"};
  s.incarnation = incarnation;
  s.values = std::move(values);
  return s;
}

TEST(CounterTotals, AddProcessesLabelsAndLives) {
  const TempFolder folder;
  const std::string path = folder.path() + "/series.jsonl";
  auto file = SeriesFile::Open(path, 1 << 20);
  ASSERT_TRUE(file);
  Sample silent = Of("a", 1, {{"x_total", 99}});
  silent.error = "does not answer";
  const Sample samples[] = {
      Of("a", 1, {{"x_total", 5}, {"y_total{r=\"p\"}", 1}, {"y_total{r=\"q\"}", 2}, {"gauge", 7}}),
      Of("b", 1, {{"x_total", 3}}),
      Of("a", 1, {{"x_total", 8}}),
      silent,
      Of("a", 2, {{"x_total", 9}}),  // another life, although it has counted further
      Of("a", 2, {{"x_total", 2}}),  // and one more, of a process that does not tell
  };
  for (const Sample& sample : samples) ASSERT_FALSE((*file)->Append(ToLine(sample)));
  const auto totals = CounterTotals(path);
  ASSERT_TRUE(totals) << totals.error();
  EXPECT_EQ(totals->at("x_total"), 8 + 3 + 9 + 2);
  EXPECT_EQ(totals->at("y_total"), 3);
  EXPECT_EQ(totals->count("gauge"), 0U);
  EXPECT_FALSE(CounterTotals(folder.path() + "/missing"));
}

}  // namespace
}  // namespace baiwan::monitor
