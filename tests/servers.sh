#!/bin/sh
# Installs what the tests need beside the compiler, where it is not there yet: the tools that read
# compressed files (gzip, zstd, lz4, and Python for zlib), and the servers that the tests talk to:
# nginx (an HTTP cache; openssl makes its certificates), Prometheus with promtool, rsyslog, s3rver
# (an S3 server that knows only its own key) and aiosmtpd (a mail server), the last two below
# target/servers.
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
install gzip gzip
install zstd zstd
install lz4 lz4
install python3 python3

s3rver=3.7.1
if [ "$(cat target/servers/s3rver.version 2>/dev/null || true)" != "$s3rver" ]; then
  mkdir -p target/servers
  npm install --prefix target/servers --no-save --no-fund --no-audit --loglevel=error "s3rver@$s3rver"
  echo "$s3rver" >target/servers/s3rver.version
fi

aiosmtpd=1.4.6
if [ "$(cat target/servers/aiosmtpd.version 2>/dev/null || true)" != "$aiosmtpd" ]; then
  python3 -m pip --version >/dev/null 2>&1 || install pip3 python3-pip
  mkdir -p target/servers
  python3 -m pip install --quiet --disable-pip-version-check --upgrade \
    --target target/servers/py "aiosmtpd==$aiosmtpd"
  echo "$aiosmtpd" >target/servers/aiosmtpd.version
fi
