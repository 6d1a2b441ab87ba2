#include "store/engine/kv.h"

namespace baiwan::store {

const char* Message(KvError error) {
  switch (error) {
    case KvError::kNone:
      return "no error";
    case KvError::kNotFound:
      return "there is no such key";
    case KvError::kIo:
      return "the disk refused to read or write";
    case KvError::kNoSpace:
      return "the disk is full";
    case KvError::kCorrupt:
      return "the store's files do not read back as they were written";
    case KvError::kAfterFailure:
      return "an earlier commit failed";
    case KvError::kLocked:
      return "another process has this store open";
    case KvError::kVersion:
      return "the store was written by a program with a newer format";
    case KvError::kReadOnly:
      return "writing there is not permitted";
  }
  return "unknown store engine error";
}

}  // namespace baiwan::store
