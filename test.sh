#!/bin/sh
# Install what is missing, build, run every test. Arguments go to ctest: ./test.sh -L quick
set -eu
cd "$(dirname "$0")"
.ci/build
exec ctest --test-dir build --output-on-failure -j "$(nproc)" "$@"
