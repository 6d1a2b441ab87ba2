#include "base/planted.h"

#ifdef BAIWAN_PLANTED

#include <cstdlib>

namespace baiwan {

bool Planted(std::string_view mistake) {
  static const char* const planted = std::getenv("BAIWAN_PLANT");
  return planted != nullptr && mistake == planted;
}

}  // namespace baiwan

#endif
