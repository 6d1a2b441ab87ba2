#include "net/proof.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/bytes.h"

namespace baiwan::net {

std::string Prove(std::string_view secret, std::string_view purpose,
                  std::initializer_list<std::string_view> fields) {
  std::string text;
  Writer writer(text);
  writer.Sized(purpose);
  for (const std::string_view field : fields) writer.Sized(field);
  unsigned char proof[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), proof, &size);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", proof[i]);
  return hex;
}

bool SameText(std::string_view expected, std::string_view got) {
  return got.size() == expected.size() &&
         CRYPTO_memcmp(expected.data(), got.data(), expected.size()) == 0;
}

}  // namespace baiwan::net
