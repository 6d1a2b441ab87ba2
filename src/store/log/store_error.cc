#include "store/log/store_error.h"

namespace baiwan::store {

const char* Message(StoreError error) {
  switch (error) {
    case StoreError::kUnknownUser:
      return "there is no such user";
    case StoreError::kCorrupt:
      return "records do not read back as they were written";
    case StoreError::kVersion:
      return "written in a format version that this program does not know";
    case StoreError::kIo:
      return "the disk refused to read or write";
    case StoreError::kNoSpace:
      return "the disk is full";
    case StoreError::kLocked:
      return "another process has this store open";
    case StoreError::kReadOnly:
      return "writing there is not permitted";
    case StoreError::kAfterFailure:
      return "an earlier commit failed";
    case StoreError::kCancelled:
      return "nobody waited for it any more";
  }
  return error == StoreError{} ? "no error" : "unknown store error";
}

StoreError ToStoreError(KvError error) {
  switch (error) {
    case KvError::kNone:
      return StoreError{};
    case KvError::kNotFound:
    case KvError::kCorrupt:
      return StoreError::kCorrupt;
    case KvError::kIo:
      return StoreError::kIo;
    case KvError::kNoSpace:
      return StoreError::kNoSpace;
    case KvError::kAfterFailure:
      return StoreError::kAfterFailure;
    case KvError::kLocked:
      return StoreError::kLocked;
    case KvError::kVersion:
      return StoreError::kVersion;
    case KvError::kReadOnly:
      return StoreError::kReadOnly;
  }
  return StoreError::kIo;
}

}  // namespace baiwan::store
