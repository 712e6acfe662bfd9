#!/bin/sh
# Installs the servers that the tests talk to, where they are not there yet: nginx (an HTTP cache;
# openssl makes its certificates), Prometheus with promtool, rsyslog, and s3rver (an S3 server that knows
# only its own key, below target/servers).
# The tests start and stop them, on 127.0.0.1 and free ports.
set -eu
cd "$(dirname "$0")/.."

have() {
  command -v "$1" >/dev/null 2>&1
}

# install PROGRAM PACKAGE: from the distribution.
install() {
  have "$1" && return
  have apt-get || {
    echo "tests/servers.sh: \`$1\` is not there and neither is apt-get: install $2 by hand" >&2
    exit 1
  }
  as_root=
  [ "$(id -u)" = 0 ] || as_root=sudo
  # A package that starts a daemon is told not to: the tests start their own.
  $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -y -q --no-install-recommends "$2" ||
    { $as_root apt-get update -q &&
      $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -q --no-install-recommends "$2"; }
}

install nginx nginx-light
install openssl openssl
install prometheus prometheus
install rsyslogd rsyslog
install npm npm

s3rver=3.7.1
if [ "$(cat target/servers/s3rver.version 2>/dev/null || true)" != "$s3rver" ]; then
  mkdir -p target/servers
  npm install --prefix target/servers --no-save --no-fund --no-audit --loglevel=error "s3rver@$s3rver"
  echo "$s3rver" >target/servers/s3rver.version
fi
