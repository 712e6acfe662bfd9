#!/bin/sh
# All tests, after what they need is installed. Arguments go to `cargo test`.
set -eu
cd "$(dirname "$0")/.."
sh tests/servers.sh
exec cargo test --locked "$@"
