// Byte streams between processes: the seam under HTTP, WebSocket and links.
//
// Threads: a transport belongs to a loop, and everything here is called on that loop's thread.
//
// Flow: a stream reads whenever it is not paused and hands over what came; the handler says how
// much of it it used, and gets the rest again, with more behind it. What is written is collected
// and leaves at the end of the turn with one system call. Nothing here blocks and nothing here
// bounds output: a handler looks at unsent() and stops producing (see OnWritable).
//
// Failure: a connection that ends for any reason gives exactly one OnClosed, after which the stream
// may only be destroyed. Destroying a stream closes it at once, without OnClosed and without
// sending what is unsent; that is allowed at any time, also inside its own callbacks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace baiwan {

enum class NetError : std::uint8_t {
  kEof = 1,         // the other side closed in good order
  kReset,           // the connection broke
  kRefused,         // nobody listens there
  kUnreachable,     // no route, or the name is not an address
  kTimeout,         // connecting took too long
  kAddressInUse,    // listen: somebody else has this port
  kPermission,      // listen: not allowed here
  kTooManyFiles,    // out of file descriptors
  kNoLocalPort,     // every local port is taken, of those towards that address
  kReadBufferFull,  // the handler left more than max_unread bytes unused
  kOther,
};
const char* Message(NetError error);

struct Endpoint {
  std::string host;  // an IPv4 or IPv6 address, or "localhost"
  std::uint16_t port = 0;

  std::string ToString() const;
  bool operator==(const Endpoint&) const = default;
};
// "host:port" or "[v6]:port"; port 1 … 65535 (0 only with `allow_port_zero`).
Result<Endpoint, std::string> ParseEndpoint(std::string_view text, bool allow_port_zero = false);
bool IsLoopback(const Endpoint& endpoint);

// What a host can be called: an IPv4 or IPv6 address (without brackets), or a name as DNS has them:
// parts of letters, digits, '-' and '_', with a dot between two, the last one not all digits.
enum class HostForm : std::uint8_t { kNone, kAddress, kName };
HostForm FormOf(std::string_view host);
// Whether two texts are one address; an IPv4 address and its form in IPv6 are.
bool SameAddress(const std::string& a, const std::string& b);
// The address that stands for every one of a machine's own, in any spelling.
bool IsEveryAddress(const std::string& host);

class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // `data` holds everything that is not used yet; returns how many bytes of it are used now. The
  // memory is writable, and the handler may overwrite what it uses (to unmask it in place, say).
  virtual std::size_t OnData(std::string_view data) = 0;
  // unsent() had passed StreamLimits::high_water and is now below low_water.
  virtual void OnWritable() {}
  // The other side sends nothing more, but may still read. True: something is still to be said to
  // it, and CloseAfterFlush will be called when it is. False: the stream ends, with what is unsent.
  virtual bool OnEndOfInput() { return false; }
  virtual void OnClosed(NetError error) = 0;
};

struct StreamLimits {
  std::size_t max_unread = 1 << 20;   // bytes a handler may leave unused before it is cut off
  std::size_t high_water = 1 << 20;   // bytes unsent
  std::size_t low_water = 256 << 10;  // bytes unsent
};

class ByteStream {
 public:
  virtual ~ByteStream() = default;

  // Takes effect from the next event on; must not be null while the stream is open.
  virtual void SetHandler(StreamHandler* handler) = 0;
  virtual void SetLimits(const StreamLimits& limits) = 0;
  // Appends to the output, which leaves at the end of the turn. Ignored once closed.
  virtual void Write(std::string_view data) = 0;
  // The output buffer itself, to append to; valid until the end of the turn. Saves one copy.
  virtual std::string& Output() = 0;
  virtual std::size_t unsent() const = 0;
  // A paused stream takes nothing from the socket, so that the peer feels the pressure, and does
  // not count what is unused against max_unread. Resumed, it offers what is unused again, in a
  // later turn. The end of the connection may go unnoticed while it is paused.
  virtual void PauseReading() = 0;
  virtual void ResumeReading() = 0;
  // Sends what is unsent, then closes; OnClosed follows. Nothing more is read.
  virtual void CloseAfterFlush() = 0;
  virtual const Endpoint& peer() const = 0;
  // This side's address: the one that a peer who connected has dialled. Asks the kernel.
  virtual Endpoint local() const = 0;
  virtual std::uint64_t bytes_in() const = 0;
  virtual std::uint64_t bytes_out() const = 0;
};

class Listener {
 public:
  virtual ~Listener() = default;  // stops listening
  virtual const Endpoint& local() const = 0;
  // While paused nothing is accepted; connections wait in the kernel's backlog.
  virtual void Pause() = 0;
  virtual void Resume() = 0;
};

using AcceptFn = std::function<void(std::unique_ptr<ByteStream>)>;
using ConnectFn = std::function<void(Result<std::unique_ptr<ByteStream>, NetError>)>;

class Transport {
 public:
  virtual ~Transport() = default;
  // Port 0 takes a free one: see Listener::local(). `on_accept` must set a handler at once.
  virtual Result<std::unique_ptr<Listener>, NetError> Listen(const Endpoint& at,
                                                             AcceptFn on_accept) = 0;
  // Calls `done` exactly once, in a later turn, unless the transport is destroyed before.
  virtual void Connect(const Endpoint& to, Nanos timeout, ConnectFn done) = 0;
};

}  // namespace baiwan
