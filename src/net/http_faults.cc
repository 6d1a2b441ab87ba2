#include "net/http_faults.h"

namespace baiwan::net {

const HttpFault& FaultOf(ChunkFault fault) {
  switch (fault) {
    case ChunkFault::kBareLineFeed:
      return kLoneLineFeed;
    case ChunkFault::kFolded:
      return kFoldedField;
    case ChunkFault::kBodyTooLarge:
      return kBodyTooLarge;
    case ChunkFault::kTooMuchBeside:
      return kHeadTooLarge;
    case ChunkFault::kNone:
    case ChunkFault::kMalformed:
      break;
  }
  return kBadChunk;
}

}  // namespace baiwan::net
