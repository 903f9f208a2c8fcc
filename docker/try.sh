#!/usr/bin/env bash
# Runs a root file system that docker/build.sh made as its container would run, as root on a machine without an engine:
# read-only, as its user, /tmp in memory. Posts a radiograph to it and ends it by SIGTERM.
#
#   docker/try.sh FOLDER [RADIOGRAPH]
set -euo pipefail
root=$(realpath "${1:?the folder that docker/build.sh made}")
radiograph=$(realpath "${2:-$(dirname "$0")/../docs/phantom.png}")
port=${PORT:-8000}

# Mounts of its own, which end with it.
unshare --mount --pid --fork --kill-child --mount-proc="$root/proc" bash -euc '
    mount --bind "$0" "$0"
    mount --rbind /dev "$0/dev"
    mount -t tmpfs -o size=64m,mode=1777 tmpfs "$0/tmp"
    mount --bind -o remount,ro "$0"
    exec chroot --userspec=10001:10001 "$0" /usr/bin/env -i PATH=/opt/cxr/bin:/usr/bin:/bin HOME=/tmp \
        PYTHONDONTWRITEBYTECODE=1 CXR_HOST=127.0.0.1 CXR_PORT="$1" cxr-serve
' "$root" "$port" &
service=$!
trap 'kill "$service" 2>/dev/null || true' EXIT

until chroot "$root" /usr/bin/env CXR_PORT="$port" PATH=/opt/cxr/bin:/usr/bin:/bin cxr-health 2>/dev/null; do
    kill -0 "$service" || exit 1
    sleep 0.5
done
echo "healthy; writable: $(chroot "$root" /usr/bin/env true && awk '/ \/ /{print $4}' "/proc/$service/mountinfo" | head -1)"
curl --fail --silent --show-error --form "file=@$radiograph" "http://127.0.0.1:$port/score?overlay=false"
echo
