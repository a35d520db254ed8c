#!/usr/bin/env bash
# Runs a real S3 server on a loopback port, for the integration tests.
#
#   .ci/start-real-s3.sh start DIR   build the server if need be, start it, wait until it answers,
#                                    print its address and keys as KEY=VALUE lines
#   .ci/start-real-s3.sh stop  DIR   end it and wait
#   .ci/start-real-s3.sh crash DIR   kill -9; the next start goes on with the same data, port and keys
#   .ci/start-real-s3.sh build       only build; prints the program's path
#
# Everything of one server is in DIR: data, keys, certificate, log, pid. Use it as
#
#   dir=$(mktemp -d); trap '.ci/start-real-s3.sh stop "$dir"; rm -rf "$dir"' EXIT
#   export $(.ci/start-real-s3.sh start "$dir") && go test -tags s3integration ./s3store
#
# Environment:
#   S3_SERVER  versitygw (default), minio, rclone, or ceph, which is not built but installed from
#              Debian's packages, keeps its data in memory and begins anew with each start
#   S3_TLS     1 (default: over https the SDK frames uploads in its own way) or 0
#   S3_PORT    the port; by default a free one, kept for later starts on DIR
#   S3_CACHE   where built programs are kept; default: driftdb-s3servers in the user's cache directory
#
# Needs bash, Go and curl. versitygw keeps its metadata in extended attributes: DIR must be on a
# file system that has them for users (ext4, xfs, btrfs, overlay).
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
verb=${1:-}
server=${S3_SERVER:-versitygw}
tls=${S3_TLS:-1}
cache=${S3_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/driftdb-s3servers}

say() { printf 'start-real-s3: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

case $server in
  versitygw) package=github.com/versity/versitygw/cmd/versitygw health=/healthz ;;
  minio) package=github.com/minio/minio health=/minio/health/ready ;;
  rclone) package=github.com/rclone/rclone health=/ ;;
  ceph) health=/ ;;
  *) die "S3_SERVER is $server; versitygw, minio, rclone and ceph are known" ;;
esac
# shellcheck source=ceph.sh
. "$repo/.ci/ceph.sh"

# build sets program. Its name holds a hash of the module's pins and of the toolchain: another pin
# is another program, and an interrupted build leaves none.
build() {
  if [ "$server" = ceph ]; then
    ceph_install || die "radosgw, ceph-mon and ceph-osd are not installed, and apt-get cannot do it"
    program=$(command -v radosgw)
    return
  fi
  local module=$repo/internal/s3servers/$server stamp
  stamp=$({ cat "$module/go.mod" "$module/go.sum"; go env GOVERSION GOOS GOARCH; } | sha256sum | cut -c1-16)
  program=$cache/$server-$stamp
  if [ -x "$program" ]; then return; fi
  say "building $package: minutes the first time, then kept in $cache"
  mkdir -p "$cache"
  GOWORK=off GOFLAGS=-mod=readonly CGO_ENABLED=0 nice -n 10 \
    go build -C "$module" -trimpath -ldflags='-s -w' -o "$program.$$" "$package"
  mv "$program.$$" "$program"
}

if [ "$verb" = build ]; then build; echo "$program"; exit; fi
[ $# -eq 2 ] || die "usage: $0 start|stop|crash DIR, or $0 build"
mkdir -p "$2"
dir=$(cd "$2" && pwd)

running() { [ -s "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }

# halt SIGNAL ends the server that this script started in dir, and no other.
halt() {
  if running; then
    local pid; pid=$(cat "$dir/pid")
    kill "-$1" "$pid"
    for _ in $(seq 200); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
    if kill -0 "$pid" 2>/dev/null; then kill -KILL "$pid"; fi
  fi
  rm -f "$dir/pid"
  if [ "$server" = ceph ]; then ceph_halt "$1"; fi
}

make_keys() {
  [ -s "$dir/keys" ] && return
  local letters; letters=$(head -c 4096 /dev/urandom | LC_ALL=C tr -dc 'a-zA-Z0-9')
  (umask 077; printf 'access=%s\nsecret=%s\n' "${letters:0:20}" "${letters:20:40}" >"$dir/keys")
}

# make_certificate uses the generator that comes with Go's sources.
make_certificate() {
  [ -s "$dir/certs/public.crt" ] && return
  mkdir -p "$dir/certs"
  (cd "$dir/certs" &&
    go run "$(go env GOROOT)/src/crypto/tls/generate_cert.go" --host 127.0.0.1,localhost --ecdsa-curve P256 --ca --duration 8760h >generate.log 2>&1 &&
    mv key.pem private.key && mv cert.pem public.crt) || die "no certificate: $(cat "$dir/certs/generate.log")"
}

# launch PORT starts the server in a session of its own, so that the caller's Ctrl-C leaves it to
# the caller's trap. --keep-alive and --iam-dir make versitygw behave as S3 does: connections stay
# open, and an unknown key is answered with InvalidAccessKeyId.
launch() {
  local args=()
  if [ "$server" = ceph ]; then ceph_launch "$1"; return; fi
  case $server in
    versitygw)
      if [ "$tls" = 1 ]; then args=(--cert "$dir/certs/public.crt" --key "$dir/certs/private.key"); fi
      ROOT_ACCESS_KEY_ID=$access ROOT_SECRET_ACCESS_KEY=$secret setsid nohup "$program" \
        --port "127.0.0.1:$1" --quiet --keep-alive --health "$health" --iam-dir "$dir/iam" \
        "${args[@]}" posix "$dir/data" >>"$dir/log" 2>&1 </dev/null & ;;
    minio)
      if [ "$tls" = 1 ]; then args=(--certs-dir "$dir/certs"); fi
      HOME=$dir MINIO_ROOT_USER=$access MINIO_ROOT_PASSWORD=$secret MINIO_BROWSER=off MINIO_UPDATE=off setsid nohup "$program" \
        server --quiet --address "127.0.0.1:$1" "${args[@]}" "$dir/data" >>"$dir/log" 2>&1 </dev/null & ;;
    rclone)
      if [ "$tls" = 1 ]; then args=(--cert "$dir/certs/public.crt" --key "$dir/certs/private.key"); fi
      HOME=$dir setsid nohup "$program" serve s3 --config /dev/null --addr "127.0.0.1:$1" --auth-key "$access,$secret" \
        "${args[@]}" "$dir/data" >>"$dir/log" 2>&1 </dev/null & ;;
  esac
  echo $! >"$dir/pid"
}

# answers asks for a page; rclone has none for those without a key, so any answer is one.
answers() { # PORT
  local fail=-f
  if [ "$server" = rclone ]; then fail=; fi
  curl -sS $fail -o /dev/null --max-time 2 ${ca:+--cacert "$ca"} "$scheme://127.0.0.1:$1$health" 2>/dev/null
}

# start_on PORT waits until the server answers; it fails at once when the server has gone.
start_on() {
  launch "$1" || return 1
  for _ in $(seq 300); do
    running || return 1
    if answers "$1"; then return 0; fi
    sleep 0.1
  done
  halt KILL
  return 1
}

start() {
  command -v curl >/dev/null || die "curl is not installed"
  build
  if running; then cat "$dir/env"; return; fi
  make_keys
  # shellcheck source=/dev/null
  . "$dir/keys"
  scheme=http ca=
  if [ "$tls" = 1 ]; then make_certificate; scheme=https ca=$dir/certs/public.crt; fi
  mkdir -p "$dir/data" "$dir/iam"

  local port=${S3_PORT:-} started=
  if [ -z "$port" ] && [ -s "$dir/port" ]; then port=$(cat "$dir/port"); fi
  if [ -n "$port" ]; then
    start_on "$port" && started=1
  else
    for _ in 1 2 3 4 5; do # a port that is taken ends the server: try another
      port=$((20000 + RANDOM % 12000))
      if answers "$port"; then continue; fi
      if start_on "$port"; then started=1; break; fi
    done
  fi
  if [ -z "$started" ]; then tail -20 "$dir/log" >&2; die "$server did not come up; its last words are above"; fi
  echo "$port" >"$dir/port"
  (umask 077; cat >"$dir/env" <<END
S3_SERVER=$server
S3_ENDPOINT=$scheme://127.0.0.1:$port
S3_CA=$ca
S3_PID=$(cat "$dir/pid")
AWS_ACCESS_KEY_ID=$access
AWS_SECRET_ACCESS_KEY=$secret
AWS_REGION=us-east-1
END
  )
  cat "$dir/env"
}

case $verb in
  start) start ;;
  stop) halt TERM ;;
  crash) halt KILL ;;
  *) die "$verb is no verb of this script" ;;
esac
