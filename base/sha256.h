// SHA-256 (FIPS 180-4), for files that a user names with the sum that sha256sum prints.
#ifndef CZT_BASE_SHA256_H
#define CZT_BASE_SHA256_H

#include <stddef.h>

enum { SHA256_DIGITS = 64 };

// The sum of `size` bytes, as small hexadecimal digits and a 0.
void sha256_text(const void *data, size_t size, char to[SHA256_DIGITS + 1]);

#endif
