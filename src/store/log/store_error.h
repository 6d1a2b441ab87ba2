// What an engine's error means to the user of a store.
#pragma once

#include "store/engine/kv.h"
#include "store/log/store.h"

namespace baiwan::store {

// kNone becomes StoreError{}, which is success.
StoreError ToStoreError(KvError error);

}  // namespace baiwan::store
