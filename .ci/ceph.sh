# shellcheck shell=bash
# A Ceph object gateway on loopback, from Debian's packages: one monitor, one store in memory, one
# gateway. Sourced by start-real-s3.sh, whose dir, tls, access and secret it uses. Nothing of it
# outlives DIR and its processes, and it needs no root but for installing the packages.

ceph_install() {
  if command -v ceph-mon >/dev/null && command -v ceph-osd >/dev/null && command -v radosgw >/dev/null; then return; fi
  say "installing radosgw, ceph-mon and ceph-osd: 70 MB"
  local sudo=()
  [ "$(id -u)" -eq 0 ] || sudo=(sudo)
  "${sudo[@]}" apt-get update -qq >&2 &&
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -qq -y --no-install-recommends radosgw ceph-mon ceph-osd >&2
}

# ceph_configure PORT: the gateway on PORT, the monitor on the two behind it. No authentication
# between the three, which are on loopback; requests to the gateway are signed as everywhere.
ceph_configure() {
  local frontend="endpoint=127.0.0.1:$1"
  if [ "$tls" = 1 ]; then frontend="ssl_endpoint=127.0.0.1:$1 ssl_certificate=$dir/certs/public.crt ssl_private_key=$dir/certs/private.key"; fi
  cat >"$dir/ceph/ceph.conf" <<END
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon host = [v2:127.0.0.1:$(($1 + 1)),v1:127.0.0.1:$(($1 + 2))]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
run dir = $dir/ceph
admin socket =
log file =
log to stderr = true
err to stderr = true
mon data = $dir/ceph/mon
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail crit = 1
mon max pg per osd = 1000
osd data = $dir/ceph/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd crush chooseleaf type = 0
rgw frontends = beast $frontend
rgw rados pool pg num min = 1
rgw enable usage log = false
rgw dynamic resharding = false
rgw gc obj min wait = 1
rgw gc processor period = 5
rgw gc processor max time = 5
[client]
auth supported = none
ms mon client mode = crc
keyring = /dev/null
END
}

# ceph_daemon NAME COMMAND… runs it in a session of its own and keeps its pid.
ceph_daemon() {
  local name=$1
  shift
  setsid nohup "$@" >>"$dir/log" 2>&1 </dev/null &
  echo $! >"$dir/ceph/$name.pid"
}

# ceph_launch PORT leaves the gateway's pid in dir/pid. What it makes is new each time.
ceph_launch() {
  ceph_halt KILL
  rm -rf "$dir/ceph"
  mkdir -p "$dir/ceph/mon" "$dir/ceph/osd"
  export CEPH_CONF=$dir/ceph/ceph.conf CEPH_ARGS="--no-mon-config"
  ceph_configure "$1"
  {
    local fsid osd
    fsid=$(sed -n 's/^fsid = //p' "$CEPH_CONF")
    osd=$(cat /proc/sys/kernel/random/uuid)
    monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$(($1 + 1)),v1:127.0.0.1:$(($1 + 2))]" "$dir/ceph/monmap" &&
      ceph-mon --mkfs -i a --monmap "$dir/ceph/monmap" &&
      ceph_daemon mon ceph-mon -f -i a &&
      timeout 60 ceph osd new "$osd" &&
      ceph-osd --mkfs -i 0 --osd-uuid "$osd" &&
      ceph_daemon osd ceph-osd -f -i 0 &&
      timeout 120 radosgw-admin user create --uid=driftdb --display-name=driftdb --access-key="$access" --secret="$secret"
  } >>"$dir/log" 2>&1 </dev/null || return
  setsid nohup radosgw -f -n client.rgw.a >>"$dir/log" 2>&1 </dev/null &
  echo $! >"$dir/pid"
}

# ceph_halt SIGNAL ends what stands behind the gateway.
ceph_halt() {
  local file pid
  for file in "$dir"/ceph/osd.pid "$dir"/ceph/mon.pid; do
    [ -s "$file" ] || continue
    pid=$(cat "$file")
    kill "-$1" "$pid" 2>/dev/null || true # it may have gone by itself
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
    kill -KILL "$pid" 2>/dev/null || true
    rm -f "$file"
  done
  return 0
}
