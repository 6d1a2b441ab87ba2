// Curves drawn as PNG files by gnuplot, which is a program of its own and may be missing.
//
// Threads: one; DrawPictures blocks until gnuplot is done, a minute at most. Failure: a sentence
// with the way out.
#pragma once

#include <optional>
#include <string>

#include "stress/curves.h"

namespace baiwan::stress {

// More cells than this share one colour and one entry in the legend.
inline constexpr std::size_t kCellColours = 8;

// What gnuplot is told for one picture, the numbers included. Pure.
std::string PictureScript(const Picture& picture, const std::string& png_path);

// `folder`/`prefix``file`.png for each picture. `gnuplot`: a path or a name to look up.
std::optional<std::string> DrawPictures(const Curves& curves, const std::string& folder,
                                        const std::string& prefix,
                                        const std::string& gnuplot = "gnuplot");

}  // namespace baiwan::stress
